//! What is done to the fields of messages on their way through, and what the gateway says of itself
//! in them.

/// Which end-to-end fields are taken out of a message and which are added to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldEdits {
    /// Names of fields that are left out, those that are set among them.
    dropped: Vec<Box<str>>,
    /// Valid fields that are written behind the others.
    added: Vec<(Box<str>, Box<str>)>,
}

impl FieldEdits {
    /// Leaves out every field of this name.
    pub fn remove(&mut self, name: &str) {
        self.dropped.push(name.into());
    }

    /// Writes a field in addition to those that are there.
    pub fn add(&mut self, name: &str, value: &str) {
        self.added.push((name.into(), value.into()));
    }

    /// Writes a field in place of those that are there.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.add(name, value);
    }

    /// Whether they say anything of fields of this name.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        let added = self.added.iter().map(|(name, _)| name);
        self.dropped.iter().chain(added).any(|one| one.eq_ignore_ascii_case(name))
    }

    /// The names of fields that are left out.
    #[must_use]
    pub fn dropped(&self) -> &[Box<str>] {
        &self.dropped
    }

    /// The fields that are written behind the others.
    #[must_use]
    pub fn added(&self) -> &[(Box<str>, Box<str>)] {
        &self.added
    }
}

/// The value of `Strict-Transport-Security` (RFC 6797 section 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hsts(Box<str>);

impl Hsts {
    /// The name of the field.
    pub const FIELD: &'static str = "Strict-Transport-Security";

    /// That hosts are to be asked over TLS alone for so many seconds.
    #[must_use]
    pub fn new(max_age: u64, include_subdomains: bool, preload: bool) -> Self {
        let mut value = format!("max-age={max_age}");
        if include_subdomains {
            value.push_str("; includeSubDomains");
        }
        if preload {
            value.push_str("; preload");
        }
        Self(value.into())
    }

    /// As it is sent.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.0
    }
}

/// What `Via` says of the gateway (RFC 9110 section 7.6.3), by the version of what it received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// Of HTTP/1.0.
    pub http10: Box<str>,
    /// Of HTTP/1.1.
    pub http11: Box<str>,
}

impl Via {
    /// By a name that stands for the gateway.
    #[must_use]
    pub fn new(pseudonym: &str) -> Self {
        Self {
            http10: format!("1.0 {pseudonym}").into(),
            http11: format!("1.1 {pseudonym}").into(),
        }
    }
}

/// Which field names each request, and who chooses the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIdRule {
    /// The field.
    pub header: Box<str>,
    /// Whether a client's own is kept where it is a valid one.
    pub keep: bool,
}

/// What the gateway says of itself in messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// In `Server` of every response. None: as the upstream has it.
    pub server: Option<Box<str>>,
    /// In `Via` of what is passed on.
    pub via: Option<Via>,
    /// Of each request, for whoever writes logs.
    pub request_id: Option<RequestIdRule>,
}
