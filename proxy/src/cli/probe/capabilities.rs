//! Which capabilities this process has, and whether the kernel lets it use eBPF.

use std::fs;

use super::{Finding, Outcome};

/// The capabilities that kernel assists need: name, bit (linux/capability.h), what for.
const WANTED: [(&str, u32, &str); 4] = [
    ("CAP_BPF", 39, "loading eBPF programs and maps"),
    ("CAP_NET_ADMIN", 12, "attaching XDP and socket programs"),
    ("CAP_PERFMON", 38, "loading the programs of shield and steering"),
    ("CAP_SYS_RESOURCE", 24, "raising hard limits"),
];
/// Includes what CAP_BPF and CAP_PERFMON allow.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;
const CAP_PERFMON: u32 = 38;

/// What `/proc` says about the rights of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rights {
    effective: u64,
    /// 0 none, 1 strict, 2 filter.
    seccomp: u64,
}

pub(super) fn probe() -> Vec<Finding> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let Some(rights) = Rights::parse(&status) else {
        let why = "cannot read /proc/self/status".to_owned();
        return vec![Finding::optional("capabilities", Outcome::Missing(why))];
    };
    let mut findings: Vec<Finding> = WANTED
        .iter()
        .map(|(name, bit, purpose)| Finding::optional(name, rights.capability(*bit, purpose)))
        .collect();
    let unprivileged = fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").ok();
    findings.push(Finding::optional("bpf()", rights.bpf(unprivileged.as_deref())));
    findings
}

impl Rights {
    fn parse(status: &str) -> Option<Self> {
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        Some(Self {
            effective: u64::from_str_radix(field("CapEff:")?, 16).ok()?,
            seccomp: field("Seccomp:").and_then(|mode| mode.parse().ok()).unwrap_or(0),
        })
    }

    fn has(self, bit: u32) -> bool {
        self.effective & (1 << bit) != 0
    }

    fn capability(self, bit: u32, purpose: &str) -> Outcome {
        let by_admin = matches!(bit, CAP_BPF | CAP_PERFMON) && self.has(CAP_SYS_ADMIN);
        match (self.has(bit), by_admin) {
            (true, _) => Outcome::Available(purpose.to_owned()),
            (false, true) => Outcome::Available(format!("{purpose} (by CAP_SYS_ADMIN)")),
            (false, false) => Outcome::Missing(format!("not in the effective set; for {purpose}")),
        }
    }

    /// Told from rights: the system call itself is not tried. A seccomp filter may still refuse
    /// it, which `/proc` does not show.
    fn bpf(self, unprivileged_disabled: Option<&str>) -> Outcome {
        if !self.has(CAP_BPF) && !self.has(CAP_SYS_ADMIN) {
            let sysctl = unprivileged_disabled.map_or("unreadable", str::trim);
            return Outcome::Missing(format!(
                "needs CAP_BPF; sysctl kernel.unprivileged_bpf_disabled is {sysctl}"
            ));
        }
        let filter = if self.seccomp == 2 { ", unless this seccomp filter refuses it" } else { "" };
        Outcome::Available(format!("permitted by capabilities{filter}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_from_status() {
        let status = "Name:\tx\nCapEff:\t0000008000001000\nSeccomp:\t2\n";
        let rights = Rights::parse(status).unwrap();
        assert!(rights.has(CAP_BPF) && rights.has(12) && !rights.has(CAP_SYS_ADMIN));
        assert_eq!(rights.seccomp, 2);
        assert_eq!(Rights::parse("CapPrm:\t0\n"), None);
    }

    #[test]
    fn the_administrator_needs_no_cap_bpf() {
        let admin = Rights { effective: 1 << CAP_SYS_ADMIN, seccomp: 0 };
        assert!(matches!(admin.capability(CAP_BPF, "x"), Outcome::Available(_)));
        assert!(matches!(admin.capability(12, "x"), Outcome::Missing(_)));
        assert!(matches!(admin.bpf(None), Outcome::Available(_)));
    }

    #[test]
    fn without_rights_the_sysctl_is_named() {
        let nobody = Rights { effective: 0, seccomp: 0 };
        let Outcome::Missing(why) = nobody.bpf(Some("2\n")) else { panic!("available") };
        assert_eq!(why, "needs CAP_BPF; sysctl kernel.unprivileged_bpf_disabled is 2");
    }
}
