//! The head that an upstream sees, written anew from the parsed request.
//!
//! End-to-end fields keep their order, spelling and value. Left out: what belongs to the client's
//! connection, the token (unless the provider forwards it), and every field that only claims may
//! set. Added: framing, `Host`, what the configuration says about the client, claims.

use std::io::Write as _;
use std::net::IpAddr;

use super::carried::{takes_out, write_via};
use super::request_id::RequestId;
use crate::auth::{Authorization, Removal, STATUS_FIELD};
use crate::http1::{
    BodyLength, Field, HeadOverflow, HeadWriter, RequestHead, Target, ToldClient, names_alike,
};
use crate::snapshot::claims_policy::AuthPolicy;
use crate::snapshot::field_edits::FieldEdits;
use crate::snapshot::ids::UpstreamId;
use crate::snapshot::redirect::Scheme;
use crate::snapshot::tls::CertificateFields;
use crate::snapshot::upstream_set::HostHeader;
use crate::snapshot::{ClientFrom, Listener, Snapshot};
use crate::tls::ClientCertificate;

/// Everything that decides what the upstream's head says.
pub(super) struct Outgoing<'a, 'h, 'b> {
    pub(super) head: &'a RequestHead<'h, 'b>,
    /// What is asked for instead of the head's path.
    pub(super) path: &'a str,
    pub(super) listener: &'a Listener,
    pub(super) snapshot: &'a Snapshot,
    pub(super) upstream: UpstreamId,
    pub(super) authorization: &'a Authorization,
    /// What the request was judged by.
    pub(super) policy: Option<&'a AuthPolicy>,
    pub(super) edits: &'a FieldEdits,
    pub(super) request_id: Option<RequestId>,
    pub(super) client: ToldClient,
    pub(super) peer: IpAddr,
    /// What the client has shown.
    pub(super) certificate: Option<&'a ClientCertificate>,
    /// What the client speaks.
    pub(super) scheme: Scheme,
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
                writer.request_line_of_parts(head.method, self.path, left);
            }
            query => writer.request_line(head.method, self.target(), query),
        }
        let host = match (&self.snapshot.upstream(self.upstream).host, head.target) {
            // RFC 9112 section 3.2.3: as the target.
            (_, Target::Authority(authority)) => authority,
            (HostHeader::Keep, _) => head.host,
            (HostHeader::Rewrite(host), _) => host,
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
        self.write_certificate(&mut writer);
        for (name, value) in self.edits.added() {
            writer.field(name, value.as_bytes());
        }
        if let (Some(rule), Some(id)) = (&self.snapshot.identity.request_id, self.request_id) {
            writer.field(&rule.header, id.as_bytes());
        }
        write_via(&mut writer, self.snapshot, head.version);
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
        } else if self.snapshot.upstream(self.upstream).proxy_protocol.is_some() {
            // Its connection is this client's, and is not used again.
            writer.field("Connection", b"close");
        }
        writer.end()
    }

    /// What is asked for, without the query.
    fn target(&self) -> &str {
        match self.head.target {
            Target::Authority(authority) => authority,
            Target::Origin { .. } | Target::Absolute { .. } | Target::Asterisk => self.path,
        }
    }

    /// Whether a field of the client's stays behind.
    fn is_withheld(&self, field: &Field<'_>, removal: Removal<'_>) -> bool {
        removal.takes_field(field.name)
            || takes_out(self.edits, self.snapshot, field.name)
            || is_reserved(field.name, self.listener)
    }

    /// Writes the fields that tell about the client: behind what is believed of a trusted proxy's, the
    /// peer.
    fn write_client(&self, writer: &mut HeadWriter<'_>) {
        let rule = self.snapshot.forwarding;
        if rule.x_forwarded {
            self.write_believed(writer, ClientFrom::XForwardedFor);
            let mut address = [0; 48];
            writer.field(ClientFrom::XForwardedFor.field(), display(&mut address, self.peer));
            if !self.carry_on(writer, "X-Forwarded-Proto") {
                writer.field("X-Forwarded-Proto", self.scheme.name().as_bytes());
            }
            if !self.carry_on(writer, "X-Forwarded-Host") {
                writer.field("X-Forwarded-Host", self.head.host.as_bytes());
            }
        }
        if rule.forwarded {
            self.write_believed(writer, ClientFrom::Forwarded);
            let mut element = [0; 384];
            let mut rest = &mut element[..];
            // The host was checked to hold no quote and no backslash.
            let written = write_for(&mut rest, self.peer).and_then(|()| {
                write!(rest, ";host=\"{}\";proto={}", self.head.host, self.scheme.name())
            });
            let length = 384 - rest.len();
            if written.is_ok() {
                writer.field(ClientFrom::Forwarded.field(), &element[..length]);
            }
        }
    }

    /// Writes the fields that tell of the client's certificate.
    fn write_certificate(&self, writer: &mut HeadWriter<'_>) {
        let (Some(tls), Some(certificate)) = (&self.listener.tls, self.certificate) else { return };
        let CertificateFields { subject, names, thumbprint } = &tls.certificate_fields;
        let told = [
            (subject, &certificate.subject),
            (names, &certificate.names),
            (thumbprint, &certificate.thumbprint),
        ];
        for (name, value) in told {
            if let Some(name) = name {
                writer.field(name, value.as_bytes());
            }
        }
    }

    /// Writes what is believed of the list that a trusted proxy has sent: as it stands where it stood
    /// in this field, else the client alone.
    fn write_believed(&self, writer: &mut HeadWriter<'_>, to: ClientFrom) {
        let from = self.snapshot.forwarding.client_from;
        if !self.client.is_told() {
            return;
        }
        if from == to {
            for line in self.client.believed(self.head.fields, from) {
                writer.field(to.field(), line);
            }
            return;
        }
        let mut element = [0; 64];
        let mut rest = &mut element[..];
        // The longest address is 45 bytes.
        let written = match to {
            ClientFrom::XForwardedFor => write!(rest, "{}", self.client.address),
            ClientFrom::Forwarded => write_for(&mut rest, self.client.address),
        };
        debug_assert!(written.is_ok(), "an address fits");
        let length = 64 - rest.len();
        writer.field(to.field(), &element[..length]);
    }

    /// Repeats a field that goes with `X-Forwarded-For`, where a trusted proxy sent it and that is
    /// what it speaks; says whether there was any.
    fn carry_on(&self, writer: &mut HeadWriter<'_>, name: &str) -> bool {
        let is_theirs = self.snapshot.forwarding.client_from == ClientFrom::XForwardedFor
            && self.snapshot.peers.is_trusted_proxy(self.peer);
        if !is_theirs {
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

/// RFC 7239 section 6: an IPv6 address is bracketed and therefore quoted.
fn write_for(out: &mut &mut [u8], address: IpAddr) -> std::io::Result<()> {
    match address {
        IpAddr::V4(address) => write!(out, "for={address}"),
        IpAddr::V6(address) => write!(out, "for=\"[{address}]\""),
    }
}

/// Whether only the gateway sets a field of this name: a client's own never passes. `_` counts as
/// `-`, because upstreams behind CGI-like interfaces cannot tell the two apart.
pub(super) fn is_reserved(name: &str, listener: &Listener) -> bool {
    names_alike(name, STATUS_FIELD)
        || listener.claim_header_names.iter().any(|claim| names_alike(name, claim))
        || ABOUT_THE_CLIENT.iter().any(|field| names_alike(name, field))
}

/// Never passed on as they are, whether the gateway sets its own or not: nobody could tell them from
/// those that are true.
const ABOUT_THE_CLIENT: [&str; 4] =
    ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"];

/// An address as text, in memory of the caller's.
fn display(out: &mut [u8; 48], address: IpAddr) -> &[u8] {
    let mut rest = &mut out[..];
    // The longest IPv6 address is 45 bytes.
    let written = write!(rest, "{address}");
    debug_assert!(written.is_ok(), "an address fits");
    let length = 48 - rest.len();
    &out[..length]
}
