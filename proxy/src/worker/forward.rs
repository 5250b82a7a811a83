//! The head that an upstream sees, written anew from the parsed request.
//!
//! End-to-end fields keep their order, spelling and value. Left out: what belongs to the client's
//! connection, the token (unless the provider forwards it), and every field that only claims may
//! set. Added: framing, `Host`, what the configuration says about the client, claims.

use std::io::Write as _;
use std::net::IpAddr;

use crate::auth::{Authorization, Removal, STATUS_FIELD};
use crate::http1::{BodyLength, Field, HeadOverflow, HeadWriter, RequestHead, names_alike};
use crate::snapshot::claims_policy::AuthPolicy;
use crate::snapshot::ids::UpstreamId;
use crate::snapshot::upstream_set::HostHeader;
use crate::snapshot::{Forwarding, Listener, Snapshot};

/// Everything that decides what the upstream's head says.
pub(super) struct Outgoing<'a, 'h, 'b> {
    pub(super) head: &'a RequestHead<'h, 'b>,
    pub(super) listener: &'a Listener,
    pub(super) snapshot: &'a Snapshot,
    pub(super) upstream: UpstreamId,
    pub(super) authorization: &'a Authorization,
    /// What the request was judged by.
    pub(super) policy: Option<&'a AuthPolicy>,
    pub(super) client: IpAddr,
}

impl Outgoing<'_, '_, '_> {
    /// Writes the head to the front of `out` and says how long it is.
    ///
    /// # Errors
    /// When it does not fit.
    pub(super) fn write(&self, out: &mut [u8]) -> Result<usize, HeadOverflow> {
        let head = self.head;
        let mut writer = HeadWriter::new(out);
        let removal = self.authorization.removal(self.policy);
        match head.target.query() {
            Some(query) if removal.takes_parameters() => {
                let left = removal.parameters_left(query);
                writer.request_line_of_parts(head.method, head.target.path(), left);
            }
            query => writer.request_line(head.method, head.target.path(), query),
        }
        let host = match &self.snapshot.upstream(self.upstream).host {
            HostHeader::Keep => head.host,
            HostHeader::Rewrite(host) => host,
        };
        writer.field("Host", host.as_bytes());
        let takes_cookies = removal.takes_cookies();
        for field in head.end_to_end() {
            if takes_cookies && field.name.eq_ignore_ascii_case("cookie") {
                writer.field_of_parts(field.name, removal.cookies_left(field.value));
            } else if !self.is_withheld(field, removal) {
                writer.field(field.name, field.value);
            }
        }
        self.write_client(&mut writer);
        match self.authorization {
            Authorization::Verified(token, _) => writer.raw(&token.header_block),
            Authorization::Tolerated(refusal, _) => {
                let code = refusal.reason.code();
                let mut value = [0; 96];
                let mut rest = &mut value[..];
                // Codes are short constants; a longer one would be cut, not lost.
                let _ = write!(rest, "invalid;reason={code}");
                let length = 96 - rest.len();
                writer.field(STATUS_FIELD, &value[..length]);
            }
            Authorization::Anonymous | Authorization::Refused(_) => {}
        }
        match head.body {
            // RFC 9110 section 8.6: a method that expects content says that there is none.
            BodyLength::None if matches!(head.method, "POST" | "PUT" | "PATCH") => {
                writer.field("Content-Length", b"0");
            }
            BodyLength::None | BodyLength::UntilClose => {}
            BodyLength::Length(length) => {
                writer.number_field("Content-Length", length);
            }
            BodyLength::Chunked => writer.field("Transfer-Encoding", b"chunked"),
        }
        if let Some(protocol) = head.upgrade {
            writer.field("Upgrade", protocol);
            writer.field("Connection", b"upgrade");
        }
        writer.end()
    }

    /// Whether a field of the client's stays behind.
    fn is_withheld(&self, field: &Field<'_>, removal: Removal<'_>) -> bool {
        removal.takes_field(field.name)
            || is_reserved(field.name, self.listener, self.snapshot.forwarding)
    }

    /// Writes the fields that tell about the client, behind what a trusted proxy said before us.
    fn write_client(&self, writer: &mut HeadWriter<'_>) {
        let rule = self.snapshot.forwarding;
        if rule.x_forwarded {
            self.carry_on(writer, "X-Forwarded-For");
            let mut address = [0; 48];
            writer.field("X-Forwarded-For", display(&mut address, self.client));
            if !(rule.trust_incoming && self.carry_on(writer, "X-Forwarded-Proto")) {
                writer.field("X-Forwarded-Proto", b"http");
            }
            if !(rule.trust_incoming && self.carry_on(writer, "X-Forwarded-Host")) {
                writer.field("X-Forwarded-Host", self.head.host.as_bytes());
            }
        }
        if rule.forwarded {
            self.carry_on(writer, "Forwarded");
            let mut element = [0; 384];
            let mut rest = &mut element[..];
            // RFC 7239 section 6: an IPv6 address is bracketed and therefore quoted. The host was
            // checked to hold no quote and no backslash.
            let written = match self.client {
                IpAddr::V4(address) => write!(rest, "for={address}"),
                IpAddr::V6(address) => write!(rest, "for=\"[{address}]\""),
            }
            .and_then(|()| write!(rest, ";host=\"{}\";proto=http", self.head.host));
            let length = 384 - rest.len();
            if written.is_ok() {
                writer.field("Forwarded", &element[..length]);
            }
        }
    }

    /// Repeats the client's own fields of this name where they are trusted; says whether any was.
    fn carry_on(&self, writer: &mut HeadWriter<'_>, name: &str) -> bool {
        if !self.snapshot.forwarding.trust_incoming {
            return false;
        }
        let mut any = false;
        for field in self.head.end_to_end().filter(|f| f.name.eq_ignore_ascii_case(name)) {
            writer.field(name, field.value);
            any = true;
        }
        any
    }
}

/// Whether only the gateway sets a field of this name: a client's own never passes. `_` counts as
/// `-`, because upstreams behind CGI-like interfaces cannot tell the two apart.
pub(super) fn is_reserved(name: &str, listener: &Listener, rule: Forwarding) -> bool {
    names_alike(name, STATUS_FIELD)
        || listener.claim_header_names.iter().any(|claim| names_alike(name, claim))
        || (rule.x_forwarded && X_FORWARDED.iter().any(|field| names_alike(name, field)))
        || (rule.forwarded && names_alike(name, "Forwarded"))
}

const X_FORWARDED: [&str; 3] = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"];

/// An address as text, in memory of the caller's.
fn display(out: &mut [u8; 48], address: IpAddr) -> &[u8] {
    let mut rest = &mut out[..];
    // The longest IPv6 address is 45 bytes.
    let written = write!(rest, "{address}");
    debug_assert!(written.is_ok(), "an address fits");
    let length = 48 - rest.len();
    &out[..length]
}
