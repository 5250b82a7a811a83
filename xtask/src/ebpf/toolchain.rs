//! A compiler with the sources of its own `core`, and bpf-linker with an LLVM to link against.
//!
//! The eBPF target has no ready-made `core`. rustup's nightly can build it when it has the
//! component `rust-src`; Debian's compiler comes with its sources in a package.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, setup, workspace};

const LINKER_VERSION: &str = "0.13.0";
/// The newest LLVM that the compilers in question and this linker know; its soname.
const LLVM: &str = "libLLVM.so.22.1";
const LLVM_FEATURE: &str = "llvm-22";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust/library";
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
/// What a build for this machine has set, and would be wrong for another.
const FOREIGN: [&str; 8] = [
    "CARGO",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// What builds the programs.
pub(super) struct Toolchain {
    compiler: Compiler,
    linker: PathBuf,
}

enum Compiler {
    /// A toolchain of rustup's, by name.
    Rustup(OsString),
    Debian,
}

/// The toolchain of this machine, or what to install.
pub(super) fn find() -> Result<Toolchain> {
    let (Some(compiler), Some(linker)) = (compiler()?, linker()) else {
        bail!(
            "the eBPF programs cannot be built here: they need `rustup toolchain install nightly \
             --component rust-src` or, on Debian, `apt-get install {}`; and bpf-linker \
             {LINKER_VERSION}, which `cargo xtask setup` builds",
            DEBIAN_PACKAGES.join(" ")
        );
    };
    Ok(Toolchain { compiler, linker })
}

/// Installs what is missing, where that is possible; says what is not.
pub(crate) fn install() -> Result<()> {
    if compiler()?.is_none() {
        if !setup::can_install() {
            println!("setup: {:#}", find().err().context("a compiler is missing")?);
            return Ok(());
        }
        setup::apt(&DEBIAN_PACKAGES)?;
    }
    if linker().is_none()
        && let Err(error) = build_linker()
    {
        println!("setup: the eBPF programs cannot be built here: no bpf-linker: {error:#}");
    }
    Ok(())
}

/// In this order: what BPF_TOOLCHAIN names, nightly, Debian's.
fn compiler() -> Result<Option<Compiler>> {
    if let Some(name) = env::var_os("BPF_TOOLCHAIN") {
        if !has_sources(&name) {
            bail!("BPF_TOOLCHAIN={} is no toolchain with rust-src", name.display());
        }
        return Ok(Some(Compiler::Rustup(name)));
    }
    if has_sources("nightly".as_ref()) {
        return Ok(Some(Compiler::Rustup("nightly".into())));
    }
    let debian = Path::new(DEBIAN_CARGO).is_file() && Path::new(DEBIAN_SOURCES).is_dir();
    Ok(debian.then_some(Compiler::Debian))
}

fn has_sources(toolchain: &std::ffi::OsStr) -> bool {
    sysroot(toolchain).is_some_and(|root| root.join("lib/rustlib/src/rust/library").is_dir())
}

fn sysroot(toolchain: &std::ffi::OsStr) -> Option<PathBuf> {
    let mut rustc = clean("rustup");
    rustc.arg("run").arg(toolchain).args(["rustc", "--print", "sysroot"]);
    process::output(&mut rustc).ok().map(|root| root.trim_end().into())
}

/// The one that `install` built, or one on PATH.
fn linker() -> Option<PathBuf> {
    let own = cache().map(|cache| cache.join("linker/bin/bpf-linker"));
    let found = process::find("bpf-linker");
    own.into_iter().chain(found).find(|linker| {
        let version = process::output(Command::new(linker).arg("--version"));
        version.is_ok_and(|text| text.trim_end().ends_with(LINKER_VERSION))
    })
}

/// Outside the repository, so that all its checkouts have one.
fn cache() -> Option<PathBuf> {
    let folder = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache")))?;
    Some(folder.join("ringgate/bpf"))
}

/// Builds bpf-linker against the LLVM that a toolchain of rustup's carries; the linker goes on
/// needing it at that path. Headers are not needed, a folder with the library is.
fn build_linker() -> Result<()> {
    let cache = cache().context("neither XDG_CACHE_HOME nor HOME is set")?;
    let llvm = llvm()?;
    let folder = cache.join("llvm/lib");
    fs::create_dir_all(&folder)?;
    for name in [llvm.file_name().context("a library has a name")?, "libLLVM.so".as_ref()] {
        let link = folder.join(name);
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        symlink(&llvm, &link).with_context(|| link.display().to_string())?;
    }
    println!("setup: building bpf-linker {LINKER_VERSION}");
    let mut install = workspace::cargo();
    install.env("LLVM_PREFIX", cache.join("llvm"));
    install.args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked", "--quiet"]);
    install.args(["--force", "--no-default-features", "--features", LLVM_FEATURE, "--root"]);
    process::run(install.arg(cache.join("linker")))
}

fn llvm() -> Result<PathBuf> {
    let list = process::output(clean("rustup").args(["toolchain", "list"]))?;
    for toolchain in list.lines().filter_map(|line| line.split_whitespace().next()) {
        let Some(root) = sysroot(toolchain.as_ref()) else { continue };
        let Ok(files) = root.join("lib").read_dir() else { continue };
        for file in files {
            let path = file?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(LLVM) {
                return Ok(path);
            }
        }
    }
    bail!("no toolchain of rustup's has {LLVM}: rustup toolchain install 1.95.0")
}

fn clean(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = workspace::command(program);
    for name in FOREIGN {
        command.env_remove(name);
    }
    command
}

impl Toolchain {
    /// The compiler's cargo, which finds the linker. No path of this machine gets into the objects.
    pub(super) fn cargo(&self) -> Result<Command> {
        let mut cargo = self.program("cargo");
        let folder = self.linker.parent().context("the linker is in a folder")?;
        let path = env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(folder.to_owned()).chain(env::split_paths(&path));
        cargo.env("PATH", env::join_paths(path)?);
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
        let mut flags = vec!["-Cdebuginfo=2".to_owned(), "-Clink-arg=--btf".to_owned()];
        for (from, to) in [(Some(workspace::root().to_owned()), "ringgate"), (home, "cargo")] {
            if let Some(from) = from {
                flags.push(format!("--remap-path-prefix={}={to}", from.display()));
            }
        }
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        // build-std and the target's features are unstable, also in a stable compiler.
        cargo.env("RUSTC_BOOTSTRAP", "1");
        if matches!(self.compiler, Compiler::Debian) {
            cargo.env("RUSTC", "/usr/bin/rustc");
        }
        Ok(cargo)
    }

    /// What decides over the bytes.
    pub(super) fn versions(&self) -> Result<Vec<String>> {
        let rustc = process::output(self.program("rustc").arg("--version"))?;
        let linker = process::output(Command::new(&self.linker).arg("--version"))?;
        let libraries = process::output(Command::new("ldd").arg(&self.linker)).unwrap_or_default();
        let llvm = libraries.split_whitespace().find(|word| word.starts_with("libLLVM"));
        let llvm = llvm.unwrap_or("LLVM linked in");
        Ok(vec![rustc.trim_end().to_owned(), linker.trim_end().to_owned(), llvm.to_owned()])
    }

    fn program(&self, name: &str) -> Command {
        match &self.compiler {
            Compiler::Rustup(toolchain) => {
                let mut command = clean("rustup");
                command.arg("run").arg(toolchain).arg(name);
                command
            }
            Compiler::Debian => clean(Path::new("/usr/bin").join(name)),
        }
    }
}
