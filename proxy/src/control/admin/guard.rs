//! Keeps requests that change something away from web pages: whoever runs a browser on this
//! machine may have one open that sends requests to addresses which only the machine can reach.
//!
//! A page of another site is told by `Origin` and `Sec-Fetch-Site`, which no page can leave out or
//! set. One whose name was made to resolve to this address (DNS rebinding) is of the same site,
//! and told by its name in `Host`.

use std::net::IpAddr;

use super::answer::Answer;
use super::request::Head;
use crate::http1::without_port;

/// Refuses what a page may have sent.
pub(super) fn check(head: &Head, hosts: &[Box<str>]) -> Result<(), Answer> {
    let host = without_port(&head.host);
    let known = hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
    if !known && !is_own_by_nature(host) {
        let what = "for this, Host must be an IP address, localhost or one of admin.hosts\n";
        return Err(Answer::text(421, what));
    }
    let own_page = head.origin.as_deref().is_none_or(|origin| {
        let site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        site.is_some_and(|site| site.eq_ignore_ascii_case(&head.host))
    });
    let same_site = matches!(head.fetch_site.as_deref(), None | Some("none" | "same-origin"));
    if own_page && same_site {
        Ok(())
    } else {
        Err(Answer::text(403, "not from a page of another site\n"))
    }
}

/// Whether no attacker can make this name resolve to us.
fn is_own_by_nature(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    address.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::super::request::Method;
    use super::*;

    fn status(change: impl FnOnce(&mut Head)) -> u16 {
        let mut head = Head::for_test(Method::Post, "/");
        change(&mut head);
        check(&head, &["gateway.internal".into()]).err().map_or(200, |answer| answer.status)
    }

    #[test]
    fn a_host_that_a_page_could_have_is_refused() {
        for host in ["127.0.0.1", "10.0.0.1:9901", "[::1]:9901", "LOCALHOST:1", "Gateway.internal"]
        {
            assert_eq!(status(|head| head.host = host.into()), 200, "{host}");
        }
        for host in ["", "evil.example", "evil.example:9901", "localhost.evil.example"] {
            assert_eq!(status(|head| head.host = host.into()), 421, "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let origin = |origin: &str| status(|head| head.origin = Some(origin.into()));
        assert_eq!(origin("http://127.0.0.1:9901"), 200);
        for other in ["null", "http://127.0.0.1", "http://evil.example", "127.0.0.1:9901", ""] {
            assert_eq!(origin(other), 403, "{other}");
        }
        let site = |site: &str| status(|head| head.fetch_site = Some(site.into()));
        assert_eq!([site("none"), site("same-origin")], [200, 200]);
        assert_eq!([site("same-site"), site("cross-site"), site("")], [403, 403, 403]);
    }
}
