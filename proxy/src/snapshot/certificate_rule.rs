//! Whose requests a route takes, by the certificate that the client has shown.

/// Which certificates of clients a route takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CertificateRule {
    /// Any, and none as well.
    #[default]
    Indifferent,
    /// Any that is believed.
    Shown,
    /// One that fits at least one of these, of which there is one.
    OneOf(Vec<CertificatePattern>),
}

/// What a certificate must say. All that is there must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePattern {
    /// The distinguished name (RFC 4514).
    pub subject: Option<TextPattern>,
    /// At least one of the alternative names, behind its kind.
    pub name: Option<TextPattern>,
    /// The SHA-256 in base64url.
    pub thumbprint: Option<Box<str>>,
}

/// What a text must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextPattern {
    /// Exactly this.
    Exact(Box<str>),
    /// This, and whatever follows.
    Prefix(Box<str>),
}

/// What is read of a certificate that a client has shown.
#[derive(Debug, Clone, Copy)]
pub struct ShownCertificate<'a> {
    /// The distinguished name (RFC 4514).
    pub subject: &'a str,
    /// Alternative names behind their kinds, with a comma and a space in between.
    pub names: &'a str,
    /// The SHA-256 in base64url.
    pub thumbprint: &'a str,
}

/// Why a client may not use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateMiss {
    /// It has shown none.
    Missing,
    /// It has shown another.
    Other,
}

impl CertificateRule {
    /// Whether a client that has shown this may use the route.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, shown: Option<ShownCertificate<'_>>) -> Result<(), CertificateMiss> {
        match (self, shown) {
            (Self::Indifferent, _) | (Self::Shown, Some(_)) => Ok(()),
            (Self::OneOf(patterns), Some(shown)) if patterns.iter().any(|one| one.fits(shown)) => {
                Ok(())
            }
            (Self::OneOf(_), Some(_)) => Err(CertificateMiss::Other),
            (Self::Shown | Self::OneOf(_), None) => Err(CertificateMiss::Missing),
        }
    }
}

impl CertificatePattern {
    fn fits(&self, shown: ShownCertificate<'_>) -> bool {
        let any_name = |wanted: &TextPattern| shown.names.split(", ").any(|name| wanted.fits(name));
        self.subject.as_ref().is_none_or(|wanted| wanted.fits(shown.subject))
            && self.name.as_ref().is_none_or(any_name)
            && self.thumbprint.as_deref().is_none_or(|wanted| wanted == shown.thumbprint)
    }
}

impl TextPattern {
    /// What is typed: with `*` at its end a prefix.
    #[must_use]
    pub fn parse(typed: &str) -> Self {
        match typed.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.into()),
            None => Self::Exact(typed.into()),
        }
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Exact(wanted) => **wanted == *text,
            Self::Prefix(wanted) => text.starts_with(&**wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: ShownCertificate<'_> = ShownCertificate {
        subject: "CN=alice,O=Example",
        names: "DNS:alice.example, URI:spiffe://example/alice",
        thumbprint: "abc",
    };

    fn pattern(subject: &str, name: &str, thumbprint: &str) -> CertificatePattern {
        let text = |typed: &str| Some(typed).filter(|t| !t.is_empty()).map(TextPattern::parse);
        CertificatePattern {
            subject: text(subject),
            name: text(name),
            thumbprint: Some(thumbprint).filter(|t| !t.is_empty()).map(Into::into),
        }
    }

    #[test]
    fn all_of_a_pattern_and_any_of_them_must_fit() {
        for (subject, name, thumbprint, fits) in [
            ("CN=alice,O=Example", "", "", true),
            ("CN=alice", "", "", false),
            ("CN=alice*", "", "", true),
            ("", "URI:spiffe://example/*", "", true),
            ("", "DNS:alice.example", "abc", true),
            ("", "DNS:alice.example", "abd", false),
            ("", "alice.example", "", false),
            ("", "DNS:alice.example, URI:spiffe://example/alice", "", false),
            ("", "", "ab", false),
            ("*", "*", "", true),
        ] {
            let one = pattern(subject, name, thumbprint);
            assert_eq!(one.fits(ALICE), fits, "{one:?}");
        }
        let rule = CertificateRule::OneOf(vec![pattern("CN=bob*", "", ""), pattern("", "", "abc")]);
        assert_eq!(rule.admit(Some(ALICE)), Ok(()));
        assert_eq!(rule.admit(None), Err(CertificateMiss::Missing));
        let rule = CertificateRule::OneOf(vec![pattern("CN=bob*", "", "")]);
        assert_eq!(rule.admit(Some(ALICE)), Err(CertificateMiss::Other));
        assert_eq!(CertificateRule::Shown.admit(None), Err(CertificateMiss::Missing));
        assert_eq!(CertificateRule::Shown.admit(Some(ALICE)), Ok(()));
        assert_eq!(CertificateRule::Indifferent.admit(None), Ok(()));
    }
}
