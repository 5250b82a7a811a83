//! The examples pass, the schema is current, and every fixture says what is wrong with it.

use std::path::{Path, PathBuf};

use super::{load, schema_text};

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The `.json` files of a folder, in order.
fn documents(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

#[test]
fn every_example_is_a_configuration_without_warnings() {
    let examples = documents("config/examples");
    assert!(examples.len() >= 2, "found {examples:?}");
    for example in examples {
        match load(&example) {
            Ok(config) => assert_eq!(config.warnings.to_string(), ""),
            Err(errors) => panic!("{errors}"),
        }
    }
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let committed = std::fs::read_to_string(repository().join("config/schema.json")).unwrap();
    assert!(committed == schema_text(), "run: ringgate schema > config/schema.json");
}
