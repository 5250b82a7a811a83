//! Which rights each program asks for, as `ringgate probe` tells it.

use std::process::{Command, Stdio};

use ringgate::kernel::Assist;

use super::possible;

/// What the probe says of each assist to a process with these capabilities only.
fn findings(capabilities: &[&str]) -> Vec<(String, bool)> {
    let bounds: String = capabilities.iter().map(|name| format!(",+{name}")).collect();
    let output = Command::new("setpriv")
        .arg(format!("--bounding-set=-all{bounds}"))
        .arg("--inh-caps=-all")
        .args([env!("CARGO_BIN_EXE_ringgate"), "probe"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let finding = |assist: Assist| {
        let line = text.lines().find(|line| line[5..].starts_with(assist.name()));
        let line = line.unwrap_or_else(|| panic!("{} in {text}", assist.name()));
        (assist.name().to_owned(), line.starts_with("yes") && line.ends_with("loads"))
    };
    Assist::ALL.map(finding).to_vec()
}

#[test]
fn each_program_loads_with_the_rights_that_it_asks_for_and_no_more() {
    if !possible("kernel::rights", Assist::Shield) {
        return;
    }
    let loads = |shield, steering, lookup, splice| {
        [("shield", shield), ("steering", steering), ("lookup", lookup), ("splice", splice)]
            .map(|(name, loads)| (name.to_owned(), loads))
    };
    assert_eq!(findings(&["bpf", "net_admin", "perfmon"]), loads(true, true, true, true));
    assert_eq!(findings(&["bpf", "net_admin"]), loads(false, false, true, true));
    assert_eq!(findings(&["net_admin", "perfmon"]), loads(false, false, false, false));
    assert_eq!(findings(&["bpf", "perfmon"]), loads(false, false, false, false));
}
