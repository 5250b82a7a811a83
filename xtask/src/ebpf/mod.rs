//! The eBPF objects: built where a toolchain for them can be had, committed, and compared.

mod manifest;
mod object;
mod toolchain;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::suite::Outcome;
use crate::workspace;
use manifest::Manifest;
use toolchain::Toolchain;

pub(crate) use toolchain::install;

const SOURCES: &str = "proxy-ebpf/programs";
/// Of the workspace that the programs are, which no command for all packages reaches.
pub(crate) const MANIFEST: &str = "proxy-ebpf/programs/Cargo.toml";
const OBJECTS: &str = "proxy-ebpf/object";
const TARGET: &str = "bpfel-unknown-none";
/// The binaries of the package, an object each.
const PROGRAMS: [&str; 4] = ["shield", "steer", "lookup", "splice"];

/// A program's name and its object without debug information.
type Built = (&'static str, Vec<u8>);

/// Builds the objects and writes them and their manifest.
pub(crate) fn write() -> Result<()> {
    let toolchain = toolchain::find()?;
    let built = build(&toolchain)?;
    let folder = workspace::root().join(OBJECTS);
    fs::create_dir_all(&folder)?;
    for (name, bytes) in &built {
        fs::write(committed(name), bytes).context(*name)?;
        println!("{OBJECTS}/{name}.o: {} bytes", bytes.len());
    }
    Manifest::of(&toolchain, &built)?.write()
}

/// The same for a person: no toolchain is an error.
pub(crate) fn require_equal() -> Result<()> {
    match check()? {
        Outcome::Passed => Ok(()),
        Outcome::Skipped(why) => bail!("{why}"),
    }
}

/// Compares the committed objects with the manifest, and with fresh ones where a toolchain for
/// them is here: all bytes if it is the one that built them, else instructions and maps.
pub(crate) fn check() -> Result<Outcome> {
    let manifest = Manifest::read()?;
    let mut objects = Vec::new();
    for name in PROGRAMS {
        let bytes = fs::read(committed(name)).with_context(|| format!("{OBJECTS}/{name}.o"))?;
        objects.push((name, bytes));
    }
    manifest.require(&objects)?;
    let toolchain = match toolchain::find() {
        Ok(toolchain) => toolchain,
        Err(why) => return Ok(Outcome::Skipped(format!("{why:#}"))),
    };
    let same_tools = manifest.is_by(&toolchain)?;
    for ((name, old), (_, new)) in objects.iter().zip(build(&toolchain)?) {
        if same_tools && *old != new {
            bail!("{OBJECTS}/{name}.o differs from its sources; run `cargo xtask ebpf`");
        }
        object::require_same_program(old, &new).with_context(|| {
            format!(
                "{OBJECTS}/{name}.o differs from its sources, unless {} builds other code than {}; \
                 run `cargo xtask ebpf`",
                toolchain.versions().unwrap_or_default().join(", "),
                manifest.tools()
            )
        })?;
    }
    println!(
        "ebpf: {} equal",
        if same_tools { "all bytes are" } else { "instructions and maps are" }
    );
    Ok(Outcome::Passed)
}

fn build(toolchain: &Toolchain) -> Result<Vec<Built>> {
    let target_folder = workspace::target_folder()?.join("ebpf");
    let mut cargo = toolchain.cargo()?;
    cargo.current_dir(workspace::root().join(SOURCES));
    cargo.args([
        "build",
        "--release",
        "--locked",
        "--quiet",
        "-Zbuild-std=core",
        "--target",
        TARGET,
    ]);
    cargo.arg("--target-dir").arg(&target_folder);
    process::run(&mut cargo)?;
    let folder = target_folder.join(TARGET).join("release");
    PROGRAMS
        .into_iter()
        .map(|name| {
            let bytes = fs::read(folder.join(name)).with_context(|| name.to_owned())?;
            Ok((name, object::stripped(&bytes).with_context(|| name.to_owned())?))
        })
        .collect()
}

fn committed(name: &str) -> PathBuf {
    workspace::root().join(OBJECTS).join(name).with_extension("o")
}
