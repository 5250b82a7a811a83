//! `ringgate token`: keys, key sets and signed tokens, for tests and demonstrations.

mod new_key;
mod sign;
mod signing_key;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub use new_key::NewKey;
pub use sign::Sign;
pub use signing_key::{SigningKey, SigningKeyError};

use crate::snapshot::key_set::Algorithm;

/// Make keys, key sets and signed tokens for tests.
#[derive(Debug, clap::Args)]
pub struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Keygen(Keygen),
    Jwks(Jwks),
    Sign(Sign),
}

/// Make a private key.
#[derive(Debug, clap::Args)]
struct Keygen {
    /// What the key signs by: RS256 .. PS512, ES256, ES384 or EdDSA.
    #[arg(long, value_parser = algorithm)]
    alg: Algorithm,
    /// The name of the key.
    #[arg(long)]
    kid: Option<String>,
    /// Write PKCS#8 PEM instead of a JWK.
    #[arg(long)]
    pem: bool,
    /// The file to make, readable by its owner only; standard output otherwise.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Print the set of the public halves of private keys.
#[derive(Debug, clap::Args)]
struct Jwks {
    /// Files with a private JWK or a PKCS#8 PEM; an RSA key that names no `alg` is given RS256.
    #[arg(required = true)]
    keys: Vec<PathBuf>,
}

impl Token {
    /// Makes what is asked for; it goes to standard output, problems to standard error.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Keygen(keygen) => keygen.run(),
            Command::Jwks(jwks) => jwks.run(),
            Command::Sign(sign) => sign.token(),
        };
        match result {
            Ok(text) => {
                let written = writeln!(std::io::stdout(), "{}", text.trim_end());
                if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "ringgate token: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Why nothing is made.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("{}: {source}", path.display())]
    Key { path: PathBuf, source: SigningKeyError },
    #[error(transparent)]
    NewKey(#[from] SigningKeyError),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

impl Keygen {
    fn run(self) -> Result<String, TokenError> {
        let new = NewKey::generate(self.alg, self.kid.as_deref())?;
        let text = if self.pem { new.pem() } else { format!("{:#}\n", new.jwk()) };
        match self.out {
            None => Ok(text),
            Some(path) => match write_private(&path, &text) {
                Ok(()) => Ok(path.display().to_string()),
                Err(source) => Err(TokenError::Write { path, source }),
            },
        }
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}

impl Jwks {
    fn run(self) -> Result<String, TokenError> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for path in self.keys {
            match SigningKey::from_file(&path, None, None) {
                Ok(key) => keys.push(key.public_jwk()),
                Err(source) => return Err(TokenError::Key { path, source }),
            }
        }
        Ok(format!("{:#}", serde_json::json!({ "keys": keys })))
    }
}

/// An algorithm as it is written in `alg`; one whose keys are public.
pub(super) fn algorithm(name: &str) -> Result<Algorithm, String> {
    let known = Algorithm::from_name(name);
    known.filter(|algorithm| Algorithm::ASYMMETRIC.contains(algorithm)).ok_or_else(|| {
        let names = Algorithm::ASYMMETRIC.iter().map(|algorithm| algorithm.name());
        let names: Vec<_> = names.collect();
        format!("one of {}", names.join(", "))
    })
}
