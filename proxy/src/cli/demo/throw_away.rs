//! A certificate for loopback that is made for one demo and signed by itself.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};

/// The file of the certificate.
pub(super) const CERTIFICATE: &str = "demo.pem";
const KEY: &str = "demo.key";

/// Writes a certificate and its key, and names both as a configuration does.
pub(super) fn write(folder: &Path) -> io::Result<Value> {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(names).map_err(io::Error::other)?;
    put(&folder.join(CERTIFICATE), &cert.pem())?;
    put(&folder.join(KEY), &signing_key.serialize_pem())?;
    Ok(json!({ "certificate": CERTIFICATE, "key": KEY }))
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
