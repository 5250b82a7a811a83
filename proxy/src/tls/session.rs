//! A TLS session without a socket: records in, plaintext out, and the other way round.
//!
//! Records are opened in place, in a buffer of the caller's, and sealed into one. What the session
//! itself has to say (its part of a handshake, tickets, answers to key updates, alerts) it keeps
//! until it is asked for it: [`Session::take_control`], or the next [`Session::seal`], which puts it
//! in front.
//!
//! The library tells what it has read of a buffer by offsets that must find the same bytes again.
//! So the session counts how much of the caller's buffer it has looked at in vain, and shows the
//! library that much, and no more, where it only wants to seal.

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{
    ClientConfig, CommonState, Error, HandshakeKind, ProtocolVersion, ServerConfig,
    SupportedCipherSuite,
};

/// Plaintext in a record at most (RFC 8446 section 5.1).
pub const RECORD_BYTES: usize = 16 * 1024;

/// A whole record at most: header, and 2 KiB that TLS 1.2 allows protection to add (RFC 5246
/// section 6.2.3).
pub const RECORD_BYTES_MAX: usize = 5 + RECORD_BYTES + 2048;

/// What protection adds to a record, rounded up: the header, an explicit nonce (TLS 1.2), the type
/// (TLS 1.3) and the tag are 30 bytes.
const OVERHEAD: usize = 32;

/// Room for what the library may put before the records of a call: an answer to a key update.
const FRONT_ROOM: usize = 64;

/// A session, in whatever state.
pub struct Session {
    side: Side,
    /// Sealed words of the session's own, not handed out yet.
    control: Vec<u8>,
    /// Plaintext of a record that did not fit where it was wanted, from `rest_start` on.
    rest: Vec<u8>,
    rest_start: usize,
    /// A record is open, and its plaintext still with the library.
    is_open: bool,
    /// How many bytes at the front of the caller's incoming buffer hold no whole message.
    seen: usize,
    has_ended: bool,
    failure: Option<Error>,
}

enum Side {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// What was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of the incoming buffer that are no longer needed.
    pub consumed: usize,
    /// Plaintext written.
    pub written: usize,
}

/// What was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Plaintext taken.
    pub taken: usize,
    /// Bytes written, to be sent.
    pub written: usize,
}

/// What a handshake has agreed on.
#[derive(Debug, Clone, Copy)]
pub struct Agreement {
    /// TLS 1.3, or 1.2.
    pub version: ProtocolVersion,
    /// By which records are protected.
    pub suite: SupportedCipherSuite,
    /// Whether an earlier session's secrets were used.
    pub is_resumed: bool,
}

/// What is to be done with the state that the library comes to.
enum Duty<'d> {
    /// Handle what is no data, and stop at data.
    Settle,
    /// Copy data out.
    Open { out: &'d mut [u8], written: usize, rest: &'d mut Vec<u8> },
    /// Encrypt data, as soon as that is possible.
    Seal { plain: &'d [u8], out: &'d mut [u8], rest: &'d mut Vec<u8> },
    /// Say that no more data will come.
    Close { out: &'d mut [u8], rest: &'d mut Vec<u8> },
}

/// The state that was found.
enum Found {
    /// Something of the session's own was handled.
    Control,
    /// Data was taken.
    Data,
    /// Data was left.
    DataWaits,
    /// Nothing more in the incoming bytes.
    Nothing,
    /// The peer sends no more.
    End,
    /// So many bytes were written.
    Written(usize),
}

impl Session {
    /// The session of a server with a client that is about to say hello.
    ///
    /// # Errors
    /// When the configuration has a fragment size that the library refuses.
    pub fn accept(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self::new(Side::Server(Box::new(UnbufferedServerConnection::new(config)?))))
    }

    /// The session of a client with a server of this name; its hello is the first control bytes.
    ///
    /// # Errors
    /// When the library cannot make a hello of the configuration.
    pub fn connect(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        Ok(Self::new(Side::Client(Box::new(UnbufferedClientConnection::new(config, name)?))))
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            control: Vec::new(),
            rest: Vec::new(),
            rest_start: 0,
            is_open: false,
            seen: 0,
            has_ended: false,
            failure: None,
        }
    }

    /// Goes on with the handshake by what has come, and says how much of it is no longer needed.
    ///
    /// # Errors
    /// As the library has them. An alert, if there is one for it, is among the control bytes then.
    pub fn advance(&mut self, incoming: &mut [u8]) -> Result<usize, Error> {
        Ok(self.open(incoming, &mut [])?.consumed)
    }

    /// Whether the handshake goes on.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    /// What the handshake has agreed on, once it has.
    #[must_use]
    pub fn agreement(&self) -> Option<Agreement> {
        let common = self.common();
        let kind = common.handshake_kind()?;
        Some(Agreement {
            version: common.protocol_version()?,
            suite: common.negotiated_cipher_suite()?,
            is_resumed: matches!(kind, HandshakeKind::Resumed),
        })
    }

    /// The peer's certificates, its own first.
    #[must_use]
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.common().peer_certificates()
    }

    /// Whether the peer has said that it sends no more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended && !self.has_plain()
    }

    /// Whether plaintext is there that no incoming byte is needed for.
    #[must_use]
    pub fn has_plain(&self) -> bool {
        self.is_open || self.rest_start < self.rest.len()
    }

    /// Whether an incoming buffer of this length may hold something that was not looked at yet.
    #[must_use]
    pub fn is_behind(&self, incoming: usize) -> bool {
        incoming > self.seen
    }

    /// Why the session has failed, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// Opens records from the front of `incoming` as long as their plaintext fits `plain`. Without
    /// room for any it goes on up to the first plaintext.
    ///
    /// # Errors
    /// As the library has them, once and for all. Plaintext that came before is given first.
    pub fn open(&mut self, incoming: &mut [u8], plain: &mut [u8]) -> Result<Opened, Error> {
        let (mut consumed, mut written) = (0, self.take_rest(plain));
        while !(self.has_ended || self.has_plain() && plain.len() == written) {
            if let Some(failure) = &self.failure {
                return if written > 0 {
                    Ok(Opened { consumed, written })
                } else {
                    Err(failure.clone())
                };
            }
            let left = &mut incoming[consumed..];
            let room = plain.len();
            let mut duty = if room == 0 {
                Duty::Settle
            } else {
                Duty::Open { out: &mut *plain, written, rest: &mut self.rest }
            };
            let (discard, found) = self.side.step(left, &mut duty, &mut self.control);
            if let Duty::Open { written: now, .. } = duty {
                written = now;
            }
            consumed += discard;
            self.seen = 0;
            self.is_open = false;
            match found {
                Ok(Found::Control | Found::Data | Found::Written(_)) if self.rest.is_empty() => {}
                Ok(Found::Control | Found::Data | Found::Written(_)) => break,
                Ok(Found::DataWaits) => {
                    self.is_open = true;
                    break;
                }
                Ok(Found::Nothing) => {
                    self.seen = incoming.len() - consumed;
                    break;
                }
                Ok(Found::End) => {
                    self.has_ended = true;
                    // What comes behind it is ignored (RFC 8446 section 6.1).
                    consumed = incoming.len();
                }
                Err(error) => self.fail(error),
            }
        }
        Ok(Opened { consumed, written })
    }

    /// Notes why it has failed, and keeps the alert that tells the peer.
    fn fail(&mut self, error: Error) {
        self.failure = Some(error);
        // The library gives what it has to say before it looks at what has come, which it must not
        // do any more.
        while self.common().wants_write() {
            match self.side.step(&mut [], &mut Duty::Settle, &mut self.control).1 {
                Ok(Found::Control) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn take_rest(&mut self, plain: &mut [u8]) -> usize {
        let rest = &self.rest[self.rest_start..];
        let taken = rest.len().min(plain.len());
        plain[..taken].copy_from_slice(&rest[..taken]);
        self.rest_start += taken;
        if self.rest_start == self.rest.len() && taken > 0 {
            self.rest = Vec::new();
            self.rest_start = 0;
        }
        taken
    }

    /// Whether it has something to say that is no data.
    #[must_use]
    pub fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    /// Takes what it has to say that is no data, as much as there is room for.
    pub fn take_control(&mut self, out: &mut [u8]) -> usize {
        let taken = self.control.len().min(out.len());
        out[..taken].copy_from_slice(&self.control[..taken]);
        self.control.drain(..taken);
        if self.control.is_empty() {
            self.control = Vec::new();
        }
        taken
    }

    /// Seals as much of `plain` as fits `out`, behind what the session itself has to say.
    /// `incoming` is what has been received and not consumed.
    ///
    /// # Errors
    /// When the handshake goes on, the session has failed, or its keys are used up.
    pub fn seal(
        &mut self,
        incoming: &mut [u8],
        plain: &[u8],
        out: &mut [u8],
    ) -> Result<Sealed, Error> {
        self.speak(incoming, Some(plain), out)
    }

    /// Says that no more data will come, behind whatever else it has to say.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn close(&mut self, incoming: &mut [u8], out: &mut [u8]) -> Result<usize, Error> {
        Ok(self.speak(incoming, None, out)?.written)
    }

    /// Seals data, or, where there is none, its end.
    fn speak(
        &mut self,
        incoming: &mut [u8],
        plain: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<Sealed, Error> {
        let mut written = 0;
        loop {
            written += self.take_control(&mut out[written..]);
            if let Some(failure) = &self.failure {
                return if written > 0 {
                    Ok(Sealed { taken: 0, written })
                } else {
                    Err(failure.clone())
                };
            }
            if self.has_control() {
                return Ok(Sealed { taken: 0, written });
            }
            let (out, rest) = (&mut out[written..], &mut self.rest);
            let plain = plain.map(|plain| &plain[..plain.len().min(fitting(out.len()))]);
            let mut duty = match plain {
                Some([]) => return Ok(Sealed { taken: 0, written }),
                Some(plain) => Duty::Seal { plain, out, rest },
                None => Duty::Close { out, rest },
            };
            let seen = &mut incoming[..self.seen];
            let (discard, found) = self.side.step(seen, &mut duty, &mut self.control);
            debug_assert_eq!(discard, 0, "what was seen in vain is still needed");
            match found {
                Ok(Found::Control) => {}
                // Taken to `rest`: the library gives data before it takes any.
                Ok(Found::Data | Found::DataWaits) => self.is_open = false,
                Ok(Found::Written(more)) => {
                    let taken = plain.map_or(0, <[u8]>::len);
                    return Ok(Sealed { taken, written: written + more });
                }
                Ok(Found::Nothing) => return Err(Error::HandshakeNotComplete),
                Ok(Found::End) => self.has_ended = true,
                Err(error) => self.fail(error),
            }
        }
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(server) => server,
            Side::Client(client) => client,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("has_ended", &self.has_ended).finish_non_exhaustive()
    }
}

/// How much plaintext fits so many bytes of records.
fn fitting(room: usize) -> usize {
    let room = room.saturating_sub(FRONT_ROOM);
    let whole = room / (RECORD_BYTES + OVERHEAD);
    let part = (room % (RECORD_BYTES + OVERHEAD)).saturating_sub(OVERHEAD);
    whole * RECORD_BYTES + part
}

impl Side {
    fn step(
        &mut self,
        incoming: &mut [u8],
        duty: &mut Duty<'_>,
        control: &mut Vec<u8>,
    ) -> (usize, Result<Found, Error>) {
        match self {
            Self::Server(server) => handle(server.process_tls_records(incoming), duty, control),
            Self::Client(client) => handle(client.process_tls_records(incoming), duty, control),
        }
    }
}

/// Does its duty in the state that the library has come to.
fn handle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    duty: &mut Duty<'_>,
    control: &mut Vec<u8>,
) -> (usize, Result<Found, Error>) {
    let UnbufferedStatus { discard, state } = status;
    let found = state.and_then(|state| match state {
        ConnectionState::EncodeTlsData(mut encode) => {
            let start = control.len();
            while let Err(EncodeError::InsufficientSize(missing)) =
                encode.encode(&mut control[start..])
            {
                control.resize(start + missing.required_size, 0);
            }
            Ok(Found::Control)
        }
        ConnectionState::TransmitTlsData(transmit) => {
            transmit.done();
            Ok(Found::Control)
        }
        ConnectionState::ReadTraffic(mut data) => match duty {
            Duty::Settle => Ok(Found::DataWaits),
            Duty::Open { out, written, rest } => {
                while let Some(length) = data.peek_len() {
                    let room = &mut out[*written..];
                    if length.get() > room.len() && *written > 0 {
                        return Ok(Found::DataWaits);
                    }
                    let Some(record) = data.next_record().transpose()? else { break };
                    let (fits, over) =
                        record.payload.split_at(record.payload.len().min(room.len()));
                    room[..fits.len()].copy_from_slice(fits);
                    *written += fits.len();
                    rest.extend_from_slice(over);
                }
                Ok(Found::Data)
            }
            Duty::Seal { rest, .. } | Duty::Close { rest, .. } => {
                while let Some(record) = data.next_record().transpose()? {
                    rest.extend_from_slice(record.payload);
                }
                Ok(Found::Data)
            }
        },
        ConnectionState::WriteTraffic(mut traffic) => match duty {
            Duty::Settle | Duty::Open { .. } => Ok(Found::Nothing),
            Duty::Seal { plain, out, .. } => {
                traffic.encrypt(plain, out).map(Found::Written).map_err(|error| too_far(&error))
            }
            Duty::Close { out, .. } => {
                traffic.queue_close_notify(out).map(Found::Written).map_err(|error| too_far(&error))
            }
        },
        ConnectionState::PeerClosed => Ok(Found::End),
        ConnectionState::BlockedHandshake | ConnectionState::Closed => Ok(Found::Nothing),
        // Early data is never agreed to.
        ConnectionState::ReadEarlyData(_) => Err(Error::General("early data".into())),
        // The library may get new states; none of them can be left alone.
        _ => Err(Error::General("a state that is not known".into())),
    });
    (discard, found)
}

/// Why records could not be sealed: there is room for what is asked for, so the keys are used up.
fn too_far(error: &EncryptError) -> Error {
    match error {
        EncryptError::EncryptExhausted => Error::EncryptError,
        EncryptError::InsufficientSize(_) => Error::General("records outgrow their room".into()),
    }
}

#[cfg(test)]
mod tests;
