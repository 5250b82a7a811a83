//! Session tickets: what a server hands out so that a client can resume without the server keeping
//! anything (RFC 8446 section 4.6.1, RFC 5077).
//!
//! The keys are everybody's: a session begun with one worker is resumed with any other. They are
//! never stored, and are replaced one after the other, so that a ticket says nothing any more once
//! its key is gone.
//!
//! ```text
//! ticket: key's name (16) | nonce (12) | sealed state | tag (16)
//! ```

use std::fmt;
use std::sync::Arc;

use crate::crypto::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use crate::crypto::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;
use zeroize::Zeroize as _;

const NAME_BYTES: usize = 16;

/// Keys that open tickets. The first one seals them, too.
const KEYS: usize = 3;

/// For how long a ticket is good: through the time of its key and that of the next.
pub const TICKET_SECONDS: u32 = 12 * 3600;

/// After which a new key is due. With three keys a ticket is opened for [`TICKET_SECONDS`] at least.
pub const ROTATION_SECONDS: u32 = TICKET_SECONDS / 2;

/// The keys of all tickets, the newest first.
#[derive(Clone)]
pub struct TicketKeys(Vec<Arc<TicketKey>>);

struct TicketKey {
    name: [u8; NAME_BYTES],
    key: LessSafeKey,
}

/// No random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

impl TicketKeys {
    /// With a first key.
    ///
    /// # Errors
    /// Without random numbers.
    pub fn new() -> Result<Self, NoRandom> {
        Ok(Self(vec![TicketKey::new()?]))
    }

    /// With one more key, and without the oldest of more than three.
    ///
    /// # Errors
    /// Without random numbers.
    pub fn rotated(&self) -> Result<Self, NoRandom> {
        let newest = std::iter::once(TicketKey::new()?);
        Ok(Self(newest.chain(self.0.iter().cloned()).take(KEYS).collect()))
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKeys({})", self.0.len())
    }
}

impl TicketKey {
    fn new() -> Result<Arc<Self>, NoRandom> {
        let random = SystemRandom::new();
        let (mut name, mut bytes) = ([0; NAME_BYTES], [0; 32]);
        random.fill(&mut name).map_err(|_| NoRandom)?;
        random.fill(&mut bytes).map_err(|_| NoRandom)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| NoRandom);
        bytes.zeroize();
        Ok(Arc::new(Self { name, key: LessSafeKey::new(key?) }))
    }

    fn seal(&self, state: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        // At random: of several workers nobody counts. 2^32 tickets of a key are 200,000 a second
        // for its whole time, which is within the bound of NIST SP 800-38D for random nonces.
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + state.len() + 16);
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(state);
        let sealed = &mut ticket[NAME_BYTES + NONCE_LEN..];
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(context), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut state = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key.open_in_place(nonce, Aad::from(context), &mut state).ok()?.len();
        state.truncate(length);
        Some(state)
    }
}

/// The tickets of one listener, which no other takes.
#[derive(Debug)]
pub(super) struct Tickets {
    pub(super) keys: TicketKeys,
    /// What must be the same where a session is resumed.
    pub(super) context: [u8; 32],
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        TICKET_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.0.first()?.seal(plain, &self.context)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (name, sealed) = cipher.split_first_chunk::<NAME_BYTES>()?;
        // A name is no secret: it stands in every ticket.
        let key = self.keys.0.iter().find(|key| key.name == *name)?;
        key.open(sealed, &self.context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(keys: &TicketKeys, context: u8) -> Tickets {
        Tickets { keys: keys.clone(), context: [context; 32] }
    }

    #[test]
    fn a_ticket_outlives_two_rotations_of_its_key_and_no_more() {
        let mut keys = TicketKeys::new().unwrap();
        let ticket = tickets(&keys, 1).encrypt(b"state").unwrap();
        for rotations in 0..5 {
            let opened = tickets(&keys, 1).decrypt(&ticket);
            assert_eq!(opened.is_some(), rotations < KEYS, "after {rotations}");
            assert!(opened.is_none_or(|state| state == b"state"));
            keys = keys.rotated().unwrap();
        }
    }

    #[test]
    fn a_ticket_of_elsewhere_or_changed_opens_nothing() {
        let keys = TicketKeys::new().unwrap();
        let ours = tickets(&keys, 1);
        let ticket = ours.encrypt(b"state").unwrap();
        assert_eq!(tickets(&keys, 2).decrypt(&ticket), None);
        assert_eq!(tickets(&TicketKeys::new().unwrap(), 1).decrypt(&ticket), None);
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(ours.decrypt(&changed), None, "byte {at}");
            assert_eq!(ours.decrypt(&ticket[..at]), None, "{at} bytes");
        }
    }
}
