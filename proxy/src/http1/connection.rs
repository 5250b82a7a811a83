//! Connection options (RFC 9110 section 7.6.1): how long the connection lives, and which fields it
//! alone concerns.

use super::fields::{Field, Sole};

/// Options that one head may list. Browsers send one or two; each one that names a field costs a
/// look at every field.
pub const CONNECTION_OPTIONS_MAX: usize = 16;

/// Fields that no client may have removed by listing them: what frames and routes the message must
/// be judged and sent as one, and what proves the client's identity is seen by both or by neither.
const PROTECTED: [&str; 4] = ["host", "content-length", "transfer-encoding", "authorization"];

/// The options of all Connection fields of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ConnectionOptions {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// One of [`PROTECTED`] is listed. A request is refused for that; in a response it has no
    /// effect, since what is protected there is written anew.
    pub(super) protected: bool,
    nominates: bool,
    count: usize,
}

/// Why a Connection field is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionFault {
    Syntax,
    TooManyOptions,
}

impl ConnectionOptions {
    /// Takes in the value of one Connection field.
    pub(super) fn add(&mut self, value: &[u8]) -> Result<(), ConnectionFault> {
        if value.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
            return self.count_one();
        }
        for option in options(value) {
            self.count_one()?;
            if !option.iter().all(|&byte| is_token_byte(byte)) {
                return Err(ConnectionFault::Syntax);
            }
            let is = |known: &str| option.eq_ignore_ascii_case(known.as_bytes());
            if is("close") {
                self.close = true;
            } else if is("keep-alive") {
                self.keep_alive = true;
            } else if is("upgrade") {
                self.upgrade = true;
            } else if is_protected(option) {
                self.protected = true;
            } else {
                self.nominates = true;
            }
        }
        Ok(())
    }

    fn count_one(&mut self) -> Result<(), ConnectionFault> {
        self.count += 1;
        if self.count > CONNECTION_OPTIONS_MAX {
            return Err(ConnectionFault::TooManyOptions);
        }
        Ok(())
    }

    /// Whether an option may name a field that is not known to belong to the connection anyway.
    pub(super) fn nominates(self) -> bool {
        self.nominates
    }
}

/// The options that the Connection fields among `fields` list.
pub(super) fn listed<'f>(fields: &'f [Field<'_>]) -> impl Iterator<Item = &'f [u8]> {
    fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case("connection"))
        .flat_map(|field| options(field.value))
}

/// Whether an option names a field that stays whatever Connection lists.
pub(super) fn is_protected(option: &[u8]) -> bool {
    PROTECTED.iter().any(|name| option.eq_ignore_ascii_case(name.as_bytes()))
}

/// The elements of a list. Empty ones are skipped, as a recipient must (RFC 9110 section 5.6.1.2).
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|option| !option.is_empty())
}

/// The protocol of a sole Upgrade field that lists one only.
///
/// Never a version of HTTP: in a tunnel of HTTP/2 (`h2c`) or HTTP/1.1 inside TLS, every further
/// request would pass without being looked at. Such an offer is ignored, as a server may, and such a
/// switch is refused.
pub(super) fn tunnelled_protocol(upgrade: Sole<'_>) -> Option<&[u8]> {
    let Sole::Once(protocol) = upgrade else { return None };
    let name = protocol.split(|&byte| byte == b'/').next().unwrap_or_default();
    let is_http = [&b"h2c"[..], b"h2", b"h3", b"http", b"tls"]
        .iter()
        .any(|http| name.eq_ignore_ascii_case(http));
    let is_protocol = |&byte: &u8| is_token_byte(byte) || byte == b'/';
    (!name.is_empty() && !is_http && protocol.iter().all(is_protocol)).then_some(protocol)
}

/// Whether a byte may be in a token (RFC 9110 section 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
