//! The certificate that all proxies show, ECDSA on P-256, made anew for each run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// A leaf that is trusted as it is, so it is no authority.
const REQUEST: &str = "[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = bench.example
[extensions]
basicConstraints = critical,CA:FALSE
subjectAltName = DNS:bench.example
";

/// PEM files.
pub(super) struct Certificate {
    pub(super) chain: PathBuf,
    pub(super) key: PathBuf,
    /// Both, for haproxy.
    pub(super) both: PathBuf,
}

impl Certificate {
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let file = |name: &str| folder.join(name);
        let (chain, key, both) = (file("tls.pem"), file("tls.key"), file("tls.both"));
        let request = file("tls.cnf");
        fs::write(&request, REQUEST)?;
        let mut openssl = Command::new("openssl");
        openssl
            .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-config"])
            .arg(&request)
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&chain);
        process::output(&mut openssl).context("a certificate")?;
        fs::write(&both, fs::read_to_string(&chain)? + &fs::read_to_string(&key)?)?;
        Ok(Self { chain, key, both })
    }
}
