//! Where things are: the root, cargo, the built binary, the files of the project.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The folder of the workspace's Cargo.toml.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// A command that runs in the root.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that runs this, in the root.
pub(crate) fn cargo() -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo says of xtask's package to xtask would be news to ring's build script, and have
    // everything above ring built anew after each build from a shell.
    for (name, _) in std::env::vars_os() {
        let is_of_package =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_package) {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// `cargo metadata` as JSON.
pub(crate) fn metadata() -> Result<serde_json::Value> {
    let text = process::output(cargo().args(["metadata", "--format-version=1", "--locked"]))?;
    serde_json::from_str(&text).context("`cargo metadata` wrote no JSON")
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata = metadata()?;
    let folder = metadata["target_directory"].as_str().context("no target_directory")?;
    Ok(PathBuf::from(folder))
}

/// An executable of the workspace as `cargo build` leaves it, built or not.
pub(crate) fn built(profile: &str, name: &str) -> Result<PathBuf> {
    Ok(target_folder()?.join(profile).join(name))
}

/// Files of the project, relative to the root: what git tracks or would; all without git.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    let mut git = command("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let mut files = match process::output(&mut git) {
        Ok(list) => list.split_terminator('\0').map(PathBuf::from).collect(),
        Err(_) => {
            let mut found = Vec::new();
            walk(root(), &mut found)?;
            found
        }
    };
    files.retain(|file| root().join(file).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in folder.read_dir().with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "target" || name == ".git" {
            continue;
        }
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(&path, found)?;
        } else if let Ok(relative) = path.strip_prefix(root()) {
            found.push(relative.to_path_buf());
        }
    }
    Ok(())
}
