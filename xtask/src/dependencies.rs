//! Licences, sources and versions of the dependencies, by the rules in deny.toml, without network.
//!
//! Reads the parts of deny.toml that `cargo metadata` can answer, so that the same file serves
//! `cargo deny` where it is installed.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use spdx::{Expression, ParseMode};

use crate::process;
use crate::suite::Outcome;
use crate::workspace;

const RULES: &str = "deny.toml";

/// Fails with one line for each dependency that breaks a rule.
pub(crate) fn check() -> Result<()> {
    let text = fs::read_to_string(workspace::root().join(RULES)).context(RULES)?;
    let rules = Rules::read(&text)?;
    let metadata = workspace::metadata()?;
    let packages = metadata["packages"].as_array().context("metadata has no packages")?;
    let problems = rules.problems(packages);
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() { Ok(()) } else { bail!("{} problems", problems.len()) }
}

/// The advisory database lives on GitHub: asked where cargo-deny is installed and gets there.
pub(crate) fn advisories() -> Result<Outcome> {
    if !process::succeeds(workspace::cargo().args(["deny", "--version"])) {
        let why = "cargo-deny is not installed: cargo install cargo-deny --locked";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    if !process::succeeds(workspace::cargo().args(["deny", "fetch", "db"])) {
        return Ok(Outcome::Skipped("the advisory database cannot be fetched".to_owned()));
    }
    process::run(workspace::cargo().args(["deny", "check", "advisories"]))?;
    Ok(Outcome::Passed)
}

/// What deny.toml asks for.
struct Rules {
    licences: Vec<String>,
    registries: Vec<String>,
    /// Names of which no two versions may be linked.
    single: Vec<String>,
}

impl Rules {
    fn read(text: &str) -> Result<Self> {
        let file: toml::Table = text.parse().context(RULES)?;
        Ok(Self {
            licences: strings(&file["licenses"]["allow"])?,
            registries: strings(&file["sources"]["allow-registry"])?,
            single: single_versions(&file["bans"]["deny"])?,
        })
    }

    fn problems(&self, packages: &[Value]) -> Vec<String> {
        let mut problems = Vec::new();
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for package in packages {
            let name = package["name"].as_str().unwrap_or_default();
            let version = package["version"].as_str().unwrap_or_default();
            versions.entry(name).or_default().push(version);
            let Some(source) = package["source"].as_str() else { continue };
            if !self.registries.iter().any(|r| source == format!("registry+{r}")) {
                problems.push(format!("{name} {version}: error: comes from {source}"));
            }
            let licence = package["license"].as_str().unwrap_or_default();
            if !self.allows(licence) {
                problems.push(format!("{name} {version}: error: licence `{licence}`"));
            }
        }
        for name in &self.single {
            if let Some(found) = versions.get(name.as_str()).filter(|found| found.len() > 1) {
                problems.push(format!("{name}: error: more than one version: {found:?}"));
            }
        }
        problems
    }

    fn allows(&self, licence: &str) -> bool {
        let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else { return false };
        expression.evaluate(|term| self.licences.contains(&term.to_string()))
    }
}

fn strings(value: &toml::Value) -> Result<Vec<String>> {
    let list = value.as_array().with_context(|| format!("{RULES}: a list is expected"))?;
    list.iter()
        .map(|item| item.as_str().map(str::to_owned).with_context(|| format!("{RULES}: {item}")))
        .collect()
}

/// The names in `deny = [{ name = "ring", deny-multiple-versions = true }]`.
fn single_versions(value: &toml::Value) -> Result<Vec<String>> {
    let list = value.as_array().with_context(|| format!("{RULES}: bans.deny is no list"))?;
    list.iter()
        .map(|item| {
            let name = item.get("name").and_then(toml::Value::as_str);
            let single = item.get("deny-multiple-versions").and_then(toml::Value::as_bool);
            match (name, single) {
                (Some(name), Some(true)) => Ok(name.to_owned()),
                _ => bail!("{RULES}: bans.deny: {item}: only deny-multiple-versions is known here"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Rules;

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
        [sources]
        allow-registry = ["https://index.example/"]
        [bans]
        deny = [{ name = "ring", deny-multiple-versions = true }]
    "#;

    fn package(name: &str, version: &str, licence: &str, source: &str) -> Value {
        json!({ "name": name, "version": version, "license": licence, "source": source })
    }

    fn problems(packages: &[Value]) -> Vec<String> {
        Rules::read(RULES).expect("valid rules").problems(packages)
    }

    const INDEX: &str = "registry+https://index.example/";

    #[test]
    fn a_choice_needs_one_allowed_licence_and_a_conjunction_all() {
        let good = ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "MIT AND Apache-2.0"];
        for licence in good.into_iter().chain(["Apache-2.0 WITH LLVM-exception"]) {
            assert_eq!(problems(&[package("a", "1.0.0", licence, INDEX)]), [""; 0], "{licence}");
        }
        for licence in ["GPL-3.0", "MIT AND GPL-3.0", "", "no licence"] {
            let expected = format!("a 1.0.0: error: licence `{licence}`");
            assert_eq!(problems(&[package("a", "1.0.0", licence, INDEX)]), [expected]);
        }
    }

    #[test]
    fn only_the_listed_registry_is_a_source() {
        let git = "git+https://git.example/a";
        let expected = "a 1.0.0: error: comes from git+https://git.example/a";
        assert_eq!(problems(&[package("a", "1.0.0", "MIT", git)]), [expected]);
    }

    #[test]
    fn two_versions_of_a_listed_crate_are_named_and_of_another_not() {
        let two =
            |name| [package(name, "1.0.0", "MIT", INDEX), package(name, "2.0.0", "MIT", INDEX)];
        assert_eq!(problems(&two("other")), [""; 0]);
        let expected = r#"ring: error: more than one version: ["1.0.0", "2.0.0"]"#;
        assert_eq!(problems(&two("ring")), [expected]);
    }

    #[test]
    fn members_of_the_workspace_need_no_source() {
        let member =
            json!({ "name": "ringgate", "version": "0.1.0", "license": "x", "source": null });
        assert_eq!(problems(&[member]), [""; 0]);
    }
}
