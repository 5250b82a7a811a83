//! The ready file: where the gateway listens, for whoever started it with port 0.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::control::reload::Bound;

/// Writes the file in one step: whoever sees it sees all of it.
pub(super) fn write(path: &Path, bound: &[Bound], admin: Option<SocketAddr>) -> io::Result<()> {
    let listeners: Map<String, Value> =
        bound.iter().map(|bound| (bound.listener.name.to_string(), json!(bound.address))).collect();
    let text = json!({ "listeners": listeners, "admin": admin }).to_string();
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, text)?;
    fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::config::ListenerConfig;

    #[test]
    fn names_and_bound_addresses_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        let listener = ListenerConfig::new("public", "127.0.0.1:0".parse().unwrap());
        let bound = [Bound { listener, address: "127.0.0.1:41233".parse().unwrap() }];
        write(&path, &bound, Some("[::1]:5123".parse().unwrap())).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let told: Value = serde_json::from_str(&text).unwrap();
        let expected =
            json!({ "listeners": { "public": "127.0.0.1:41233" }, "admin": "[::1]:5123" });
        assert_eq!(told, expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
