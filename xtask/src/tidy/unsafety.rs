//! `unsafe` stands in the listed modules only.

use super::{Source, Violation};

/// Where the kernel and memory are touched directly. `benches/micro` counts allocations with an
/// allocator of its own, which is an unsafe trait.
const ALLOWED: &[&str] = &[
    "proxy/src/uring/",
    "proxy/src/kernel/",
    "proxy-ebpf/abi/src/pod.rs",
    "proxy-ebpf/programs/",
    "benches/micro/",
];

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    if ALLOWED.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let places = source.tokens.iter().filter(|token| token.is_ident("unsafe"));
    places
        .map(|token| Violation::new(token.line, format!("unsafe outside {}", ALLOWED.join(", "))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::check;

    #[test]
    fn unsafe_is_seen_outside_the_listed_modules() {
        let text = "//! a\n#![forbid(unsafe_code)]\nfn a() { unsafe { b() } }";
        let lines = |path| -> Vec<usize> {
            found(check, path, text).into_iter().map(|(line, _)| line).collect()
        };
        assert_eq!(lines("proxy/src/auth/mod.rs"), [3]);
        assert_eq!(lines("proxy/src/relay/copy.rs"), [3]);
        assert_eq!(lines("proxy/src/uring/recv.rs"), [0; 0]);
    }
}
