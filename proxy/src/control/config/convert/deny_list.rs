//! `jwt.deny_list`: the file is read as it will be when the gateway runs.

use super::{JsonPath, Reader};
use crate::control::config::raw::jwt::DenyList;
use crate::control::config::settings::DenyListConfig;
use crate::control::deny::book;

pub(super) fn deny_list(reader: &mut Reader<'_>) -> DenyListConfig {
    let path = JsonPath::from(["jwt", "deny_list"]);
    let DenyList { file, max_entries } = reader.read(&path).unwrap_or_default();
    let file = file.map(|file| reader.resolve(&file));
    if let Some(file) = &file
        && let Err(error) = book::load(file, max_entries)
    {
        reader.problem(&path.join("file"), format!("{}: {error}", file.display()));
    }
    DenyListConfig { file, entries_max: max_entries }
}
