//! Which assists this kernel and the rights of this process allow.

use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported, is_program_supported};
use aya::util::KernelVersion;
use rustix::thread::{CapabilitySet, capabilities};

use super::{Assist, Lookup, Off, Shield, Splice, Steering};

/// What was found.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    effective: CapabilitySet,
}

/// A helper of the kernel's that a program calls, and the version that brought it.
struct Needed {
    program: ProgramType,
    program_since: &'static str,
    helper: BpfHelper,
    helper_name: &'static str,
    helper_since: &'static str,
}

impl Probe {
    /// Looks at this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self { effective: capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective) }
    }

    /// Why an assist cannot be had here; none if it can be tried.
    #[must_use]
    pub fn obstacle(&self, assist: Assist) -> Option<Off> {
        self.missing_capability(assist).or_else(|| missing_feature(assist))
    }

    /// Loads the program of an assist, attaches it nowhere, and lets go of it.
    ///
    /// # Errors
    ///
    /// The assist cannot be had here.
    pub fn try_out(&self, assist: Assist) -> Result<(), Off> {
        if let Some(off) = self.obstacle(assist) {
            return Err(off);
        }
        match assist {
            Assist::Shield => Shield::load().map(drop),
            Assist::Steering => Steering::load(&[None]).map(drop),
            Assist::Lookup => Lookup::load().map(drop),
            Assist::Splice => Splice::load(1).map(drop),
        }
    }

    /// CAP_SYS_ADMIN includes the first and the last. The last is for programs on whose
    /// mispredicted branches the verifier finds too much: the shield's and steering's.
    fn missing_capability(&self, assist: Assist) -> Option<Off> {
        let has = |wanted| self.effective.intersects(wanted | CapabilitySet::SYS_ADMIN);
        let reads_freely = match assist {
            Assist::Shield | Assist::Steering => has(CapabilitySet::PERFMON),
            Assist::Lookup | Assist::Splice => true,
        };
        let wanted = [
            ("CAP_BPF", has(CapabilitySet::BPF)),
            ("CAP_NET_ADMIN", self.effective.contains(CapabilitySet::NET_ADMIN)),
            ("CAP_PERFMON", reads_freely),
        ];
        let missing: Vec<&str> =
            wanted.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect();
        (!missing.is_empty()).then(|| Off::Capability(missing.join(" and ")))
    }
}

/// The youngest thing that each program calls.
fn needed(assist: Assist) -> Needed {
    match assist {
        Assist::Shield => Needed {
            program: ProgramType::Xdp,
            program_since: "4.8",
            helper: BpfHelper::BPF_FUNC_xdp_get_buff_len,
            helper_name: "bpf_xdp_get_buff_len",
            helper_since: "5.18",
        },
        Assist::Steering => Needed {
            program: ProgramType::SkReuseport,
            program_since: "4.19",
            helper: BpfHelper::BPF_FUNC_get_socket_cookie,
            helper_name: "bpf_get_socket_cookie for sk_reuseport",
            helper_since: "5.14",
        },
        Assist::Lookup => Needed {
            program: ProgramType::SkLookup,
            program_since: "5.9",
            helper: BpfHelper::BPF_FUNC_sk_assign,
            helper_name: "bpf_sk_assign",
            helper_since: "5.9",
        },
        Assist::Splice => Needed {
            program: ProgramType::SkSkb,
            program_since: "4.14",
            helper: BpfHelper::BPF_FUNC_loop,
            helper_name: "bpf_loop",
            helper_since: "5.17",
        },
    }
}

fn missing_feature(assist: Assist) -> Option<Off> {
    let needed = needed(assist);
    match is_program_supported(needed.program) {
        Ok(true) => {}
        Ok(false) => {
            return Some(Off::Kernel { what: assist.program(), since: needed.program_since });
        }
        Err(error) => return Some(error.into()),
    }
    match is_helper_supported(needed.program, needed.helper) {
        Ok(true) => missing_cure(assist),
        Ok(false) => Some(Off::Kernel { what: needed.helper_name, since: needed.helper_since }),
        Err(error) => Some(error.into()),
    }
}

/// What no helper tells: an older kernel may have been cured too, but nobody knows by its version.
fn missing_cure(assist: Assist) -> Option<Off> {
    let (what, major, minor) = match assist {
        // `kernel/splice.rs` tells what goes wrong.
        Assist::Splice => ("sockmap that sends each byte once", 6, 16),
        Assist::Shield | Assist::Steering | Assist::Lookup => return None,
    };
    let is_there = KernelVersion::current()
        .is_ok_and(|version| version >= KernelVersion::new(major, minor, 0));
    (!is_there).then_some(Off::Kernel { what, since: assist.since() })
}

#[cfg(test)]
mod tests {
    use rustix::thread::CapabilitySet;

    use super::{Assist, Probe};

    fn reason(assist: Assist, effective: CapabilitySet) -> Option<String> {
        Probe { effective }.missing_capability(assist).map(|off| off.to_string())
    }

    fn needs(what: &str) -> Option<String> {
        Some(format!("needs {what}, which this process does not have"))
    }

    #[test]
    fn what_is_missing_is_named() {
        let two = CapabilitySet::BPF | CapabilitySet::NET_ADMIN;
        for assist in [Assist::Lookup, Assist::Splice] {
            assert_eq!(reason(assist, CapabilitySet::empty()), needs("CAP_BPF and CAP_NET_ADMIN"));
            assert_eq!(reason(assist, CapabilitySet::NET_ADMIN), needs("CAP_BPF"));
            assert_eq!(reason(assist, CapabilitySet::BPF), needs("CAP_NET_ADMIN"));
            assert_eq!(reason(assist, two), None);
        }
        for assist in [Assist::Shield, Assist::Steering] {
            let all = "CAP_BPF and CAP_NET_ADMIN and CAP_PERFMON";
            assert_eq!(reason(assist, CapabilitySet::empty()), needs(all));
            assert_eq!(reason(assist, two), needs("CAP_PERFMON"));
            assert_eq!(reason(assist, two | CapabilitySet::PERFMON), None);
        }
    }

    #[test]
    fn the_administrator_lacks_net_admin_only() {
        for assist in Assist::ALL {
            assert_eq!(reason(assist, CapabilitySet::SYS_ADMIN), needs("CAP_NET_ADMIN"));
        }
    }
}
