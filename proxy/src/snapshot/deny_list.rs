//! Tokens that are refused although their signature and claims are good: revoked by the id of the
//! token, by subject and date, by session, or with the key that signed them.
//!
//! Never by the bytes of a token: an ECDSA signature has a twin that verifies as well. What an entry
//! names and what a token says are compared as `Mark`s, digests that are taken of a token once, when
//! there is an entry to compare them with; a lookup allocates nothing and holds no claim.

use crate::crypto::digest::{Context, SHA256};
use hashbrown::HashTable;

use super::unix_time::UnixTime;

/// What is revoked. Issuers are compared with the verified `iss`, code point by code point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    /// The token with this `jti`.
    Token {
        /// Its `iss`.
        issuer: Box<str>,
        /// Its `jti`.
        id: Box<str>,
    },
    /// Every token of a subject that was issued before a time, or that does not say when.
    Subject {
        /// Their `iss`.
        issuer: Box<str>,
        /// Their `sub`.
        subject: Box<str>,
        /// A token of this very second is not revoked.
        issued_before: UnixTime,
    },
    /// Every token of a session.
    Session {
        /// Their `iss`.
        issuer: Box<str>,
        /// Their `sid`.
        session: Box<str>,
    },
    /// Every token signed with the key of this id.
    Key {
        /// Their `iss`; none: whoever uses a key of this id.
        issuer: Option<Box<str>>,
        /// The key's `kid`.
        kid: Box<str>,
    },
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    revoked: Revoked,
    mark: Mark,
    until: UnixTime,
}

impl Denial {
    /// Revokes until this second, from which on the entry says nothing any more.
    #[must_use]
    pub fn new(revoked: Revoked, until: UnixTime) -> Self {
        Self { mark: revoked.mark(), revoked, until }
    }

    /// What is revoked.
    #[must_use]
    pub fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// Names what is revoked, without saying it: entries that revoke the same have the same id.
    #[must_use]
    pub fn id(&self) -> String {
        let mark: String = self.mark.0.iter().map(|byte| format!("{byte:02x}")).collect();
        match self.revoked {
            Revoked::Subject { issued_before, .. } => format!("{mark}-{}", issued_before.0),
            Revoked::Token { .. } | Revoked::Session { .. } | Revoked::Key { .. } => mark,
        }
    }

    /// The first second at which it is not, any more.
    #[must_use]
    pub fn until(&self) -> UnixTime {
        self.until
    }
}

/// A digest of what an entry names: too long for two different things to have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Mark([u8; 16]);

/// What kind of thing a mark names, so that a `jti` is never taken for a `sid`.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Token = 1,
    Subject = 2,
    Session = 3,
    Key = 4,
    KeyOfAnyIssuer = 5,
}

impl Mark {
    fn new(kind: Kind, issuer: &str, name: &str) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&[kind as u8]);
        // The length keeps apart what ends in one and begins in the other.
        context.update(&(issuer.len() as u64).to_le_bytes());
        context.update(issuer.as_bytes());
        context.update(name.as_bytes());
        let digest = context.finish();
        let mut mark = [0; 16];
        mark.copy_from_slice(&digest.as_ref()[..16]);
        Self(mark)
    }

    fn hash(self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(first)
    }
}

impl Revoked {
    fn mark(&self) -> Mark {
        match self {
            Self::Token { issuer, id } => Mark::new(Kind::Token, issuer, id),
            Self::Subject { issuer, subject, .. } => Mark::new(Kind::Subject, issuer, subject),
            Self::Session { issuer, session } => Mark::new(Kind::Session, issuer, session),
            Self::Key { issuer: Some(issuer), kid } => Mark::new(Kind::Key, issuer, kid),
            Self::Key { issuer: None, kid } => Mark::new(Kind::KeyOfAnyIssuer, "", kid),
        }
    }
}

/// What a verified token says of itself that an entry may name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Named<'t> {
    /// Its `iss`.
    pub issuer: Option<&'t str>,
    /// Its `jti`.
    pub id: Option<&'t str>,
    /// Its `sub`.
    pub subject: Option<&'t str>,
    /// Its `sid`.
    pub session: Option<&'t str>,
    /// The id of the key that signed it.
    pub kid: Option<&'t str>,
    /// Its `iat`, rounded down.
    pub issued_at: Option<UnixTime>,
}

/// The same as digests, kept with the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    marks: [Option<Mark>; 5],
    issued_at: Option<UnixTime>,
}

impl Marks {
    /// Those of a token.
    #[must_use]
    pub fn new(named: Named<'_>) -> Self {
        let of = |kind, name: Option<&str>| Some(Mark::new(kind, named.issuer?, name?));
        let marks = [
            of(Kind::Token, named.id),
            of(Kind::Subject, named.subject),
            of(Kind::Session, named.session),
            of(Kind::Key, named.kid),
            named.kid.map(|kid| Mark::new(Kind::KeyOfAnyIssuer, "", kid)),
        ];
        Self { marks, issued_at: named.issued_at }
    }
}

/// The entries of all sources together, looked up in constant time.
#[derive(Debug, Default)]
pub struct DenyList {
    entries: HashTable<Entry>,
}

#[derive(Debug)]
struct Entry {
    mark: Mark,
    until: UnixTime,
    /// None: whenever issued.
    issued_before: Option<UnixTime>,
}

impl DenyList {
    /// The list of these entries.
    #[must_use]
    pub fn new<'d>(denials: impl IntoIterator<Item = &'d Denial>) -> Self {
        let mut entries = HashTable::new();
        for Denial { revoked, mark, until } in denials {
            let issued_before = match revoked {
                Revoked::Subject { issued_before, .. } => Some(*issued_before),
                Revoked::Token { .. } | Revoked::Session { .. } | Revoked::Key { .. } => None,
            };
            let entry = Entry { mark: *mark, until: *until, issued_before };
            entries.insert_unique(entry.mark.hash(), entry, |entry| entry.mark.hash());
        }
        Self { entries }
    }

    /// Whether a token with these marks is revoked now.
    #[must_use]
    pub fn denies(&self, token: &Marks, now: UnixTime) -> bool {
        token.marks.iter().flatten().any(|mark| self.has(*mark, token, now))
    }

    fn has(&self, mark: Mark, token: &Marks, now: UnixTime) -> bool {
        self.entries.iter_hash(mark.hash()).any(|entry| {
            let is_older = |before| token.issued_at.is_none_or(|issued| issued < before);
            entry.mark == mark && now < entry.until && entry.issued_before.is_none_or(is_older)
        })
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none: then no token is revoked, whatever its marks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_000);

    fn denial(revoked: Revoked) -> Denial {
        Denial::new(revoked, UnixTime(2_000))
    }

    fn token() -> Named<'static> {
        Named {
            issuer: Some("i"),
            id: Some("t"),
            subject: Some("s"),
            session: Some("o"),
            kid: Some("k"),
            issued_at: Some(UnixTime(500)),
        }
    }

    fn refuses(revoked: Revoked, token: Named<'_>) -> bool {
        DenyList::new([&denial(revoked)]).denies(&Marks::new(token), NOW)
    }

    #[test]
    fn each_kind_of_entry_finds_its_tokens_and_no_others() {
        let (issuer, other): (Box<str>, Box<str>) = ("i".into(), "j".into());
        let subject = |issued_before| Revoked::Subject {
            issuer: "i".into(),
            subject: "s".into(),
            issued_before: UnixTime(issued_before),
        };
        let cases = [
            (Revoked::Token { issuer: issuer.clone(), id: "t".into() }, true),
            (Revoked::Token { issuer: issuer.clone(), id: "u".into() }, false),
            (Revoked::Token { issuer: other.clone(), id: "t".into() }, false),
            // A name of one kind is none of another.
            (Revoked::Token { issuer: issuer.clone(), id: "o".into() }, false),
            (Revoked::Session { issuer: issuer.clone(), session: "o".into() }, true),
            (Revoked::Session { issuer: issuer.clone(), session: "t".into() }, false),
            (Revoked::Key { issuer: Some(issuer), kid: "k".into() }, true),
            (Revoked::Key { issuer: Some(other), kid: "k".into() }, false),
            (Revoked::Key { issuer: None, kid: "k".into() }, true),
            (Revoked::Key { issuer: None, kid: "l".into() }, false),
            (subject(500), false),
            (subject(501), true),
        ];
        for (revoked, expected) in cases {
            assert_eq!(refuses(revoked.clone(), token()), expected, "{revoked:?}");
        }
    }

    #[test]
    fn issuer_and_name_are_not_run_together() {
        let revoked = Revoked::Token { issuer: "ab".into(), id: "c".into() };
        let token = Named { issuer: Some("a"), id: Some("bc"), ..Named::default() };
        assert!(!refuses(revoked, token));
    }

    #[test]
    fn a_token_that_does_not_say_when_it_was_issued_was_issued_before() {
        let revoked = Revoked::Subject {
            issuer: "i".into(),
            subject: "s".into(),
            issued_before: UnixTime(1),
        };
        assert!(refuses(revoked.clone(), Named { issued_at: None, ..token() }));
        assert!(!refuses(revoked, Named { subject: None, issued_at: None, ..token() }));
    }

    #[test]
    fn an_entry_ends_with_its_time() {
        let revoked = Revoked::Token { issuer: "i".into(), id: "t".into() };
        let list = DenyList::new([&denial(revoked)]);
        let marks = Marks::new(token());
        assert!(list.denies(&marks, UnixTime(1_999)));
        assert!(!list.denies(&marks, UnixTime(2_000)));
    }

    #[test]
    fn of_several_entries_for_one_subject_each_counts() {
        let entry = |issued_before, until| {
            let revoked = Revoked::Subject {
                issuer: "i".into(),
                subject: "s".into(),
                issued_before: UnixTime(issued_before),
            };
            Denial::new(revoked, UnixTime(until))
        };
        let (short, long) = (entry(600, 1_500), entry(400, 3_000));
        let list = DenyList::new([&long, &short]);
        assert_eq!(list.len(), 2);
        let marks = Marks::new(token());
        assert!(list.denies(&marks, UnixTime(1_499)));
        assert!(!list.denies(&marks, UnixTime(1_500)), "the longer one is about older tokens");
        assert!(!DenyList::default().denies(&marks, NOW));
    }
}
