//! What certificates say, by certificates of another's making.

use proptest::prelude::*;
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, date_time_ymd};

use super::*;

fn certificate(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

#[test]
fn subject_names_and_times_are_read() {
    let certificate = certificate(|params| {
        params.distinguished_name.push(DnType::CountryName, "CH");
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        params.distinguished_name.push(DnType::CommonName, "#1 ünique ");
        params.not_before = date_time_ymd(2024, 2, 29);
        params.not_after = date_time_ymd(2051, 1, 1);
        let text = |text: &str| Ia5String::try_from(text).unwrap();
        params.subject_alt_names = vec![
            SanType::DnsName(text("API.example.com")),
            SanType::DnsName(text("*.example.com")),
            SanType::Rfc822Name(text("a@example.com")),
            SanType::URI(text("spiffe://example.com/a")),
            SanType::IpAddress("192.0.2.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
        ];
    });
    let read = Certificate::read(&certificate).unwrap();
    assert_eq!(read.subject, r"CN=\#1 \C3\BCnique\ ,O=Example\, Inc.,C=CH");
    assert_eq!((read.not_before, read.not_after), (1_709_164_800, 2_556_144_000));
    let names = [
        AlternativeName::Dns("api.example.com".into()),
        AlternativeName::Dns("*.example.com".into()),
        AlternativeName::Email("a@example.com".into()),
        AlternativeName::Uri("spiffe://example.com/a".into()),
        AlternativeName::Ip("192.0.2.1".into()),
        AlternativeName::Ip("2001:db8::1".into()),
    ];
    assert_eq!(read.names, names);
    assert_eq!(read.hosts().collect::<Vec<_>>(), ["api.example.com", "*.example.com"]);
}

#[test]
fn a_certificate_without_names_has_none() {
    let read = Certificate::read(&certificate(|_| {})).unwrap();
    assert_eq!((read.subject.as_str(), read.names.len()), ("", 0));
}

#[test]
fn a_name_that_is_no_visible_ascii_is_left_out() {
    assert_eq!(
        general_names(b"\x82\x03a\r\n\x82\x01b"),
        Some(vec![AlternativeName::Dns("b".into())])
    );
}

#[test]
fn days_agree_with_the_calendar() {
    for (date, expected) in
        [((1970, 1, 1), 0), ((2000, 3, 1), 11_017), ((2100, 3, 1), 47_541), ((1950, 1, 1), -7305)]
    {
        assert_eq!(days(date.0, date.1, date.2), expected, "{date:?}");
    }
}

proptest! {
    #[test]
    fn whatever_a_certificate_is_made_into_is_read_or_refused(
        at in 0_usize..600,
        value in any::<u8>(),
        length in 0_usize..600,
    ) {
        let mut bytes = certificate(|_| {}).to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        bytes.truncate(length);
        let _ = Certificate::read(&CertificateDer::from(bytes));
    }
}
