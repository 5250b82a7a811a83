//! proxy-ebpf/object/manifest.json: what the committed objects are, and what built them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result, bail};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::toolchain::Toolchain;
use super::{Built, OBJECTS};
use crate::workspace;

const FILE: &str = "proxy-ebpf/object/manifest.json";

pub(super) struct Manifest {
    tools: Vec<String>,
    /// By program.
    sha256: BTreeMap<String, String>,
}

impl Manifest {
    pub(super) fn of(toolchain: &Toolchain, objects: &[Built]) -> Result<Self> {
        let sha256 = objects.iter().map(|(name, bytes)| ((*name).to_owned(), sha256(bytes)));
        Ok(Self { tools: toolchain.versions()?, sha256: sha256.collect() })
    }

    pub(super) fn read() -> Result<Self> {
        let text = fs::read_to_string(workspace::root().join(FILE)).context(FILE)?;
        Self::parse(&text).context(FILE)
    }

    fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let string = |value: &Value| value.as_str().map(str::to_owned).context("no string");
        let tools = value["tools"].as_array().context("no `tools`")?;
        let objects = value["sha256"].as_object().context("no `sha256`")?;
        Ok(Self {
            tools: tools.iter().map(string).collect::<Result<_>>()?,
            sha256: objects
                .iter()
                .map(|(name, value)| Ok((name.clone(), string(value)?)))
                .collect::<Result<_>>()?,
        })
    }

    pub(super) fn write(&self) -> Result<()> {
        let value = json!({ "tools": self.tools, "sha256": self.sha256 });
        fs::write(workspace::root().join(FILE), format!("{value:#}\n")).context(FILE)
    }

    /// Fails on an object that is not the one written down.
    pub(super) fn require(&self, objects: &[Built]) -> Result<()> {
        for (name, bytes) in objects {
            if self.sha256.get(*name) != Some(&sha256(bytes)) {
                bail!("{OBJECTS}/{name}.o is not the one in {FILE}; run `cargo xtask ebpf`");
            }
        }
        Ok(())
    }

    /// Whether this toolchain is the one that built the objects.
    pub(super) fn is_by(&self, toolchain: &Toolchain) -> Result<bool> {
        Ok(self.tools == toolchain.versions()?)
    }

    pub(super) fn tools(&self) -> String {
        self.tools.join(", ")
    }
}

fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest(&SHA256, bytes).as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Manifest, sha256};

    #[test]
    fn an_object_that_is_not_written_down_is_refused() {
        let text =
            format!(r#"{{"tools": ["rustc 1"], "sha256": {{"shield": "{}"}}}}"#, sha256(b"a"));
        let manifest = Manifest::parse(&text).expect("a manifest");
        assert_eq!(manifest.tools(), "rustc 1");
        assert!(manifest.require(&[("shield", b"a".to_vec())]).is_ok());
        assert!(manifest.require(&[("shield", b"b".to_vec())]).is_err());
        assert!(manifest.require(&[("steer", b"a".to_vec())]).is_err());
    }
}
