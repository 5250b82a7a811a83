//! `ringgate token sign`: one token from a private key and some claims.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::{SigningKey, TokenError, algorithm};
use crate::snapshot::key_set::Algorithm;

/// Sign a token.
#[derive(Debug, clap::Args)]
pub struct Sign {
    /// A file with a private JWK or a PKCS#8 PEM.
    #[arg(long)]
    key: PathBuf,
    /// The name of the key, where the file has none or another.
    #[arg(long)]
    kid: Option<String>,
    /// What to sign by, where the key could by several.
    #[arg(long, value_parser = algorithm)]
    alg: Option<Algorithm>,
    /// Claims, as a JSON object; the flags below win over it.
    #[arg(long, default_value = "{}", value_parser = claims)]
    claims: Map<String, Value>,
    /// `iss`.
    #[arg(long)]
    issuer: Option<String>,
    /// `sub`.
    #[arg(long)]
    subject: Option<String>,
    /// `aud`; several make an array.
    #[arg(long)]
    audience: Vec<String>,
    /// `scope`: words separated by spaces.
    #[arg(long)]
    scope: Option<String>,
    /// `exp`, from now; `iat` is now.
    #[arg(long, value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
}

impl Sign {
    pub(super) fn token(self) -> Result<String, TokenError> {
        let mut claims = self.claims;
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                claims.insert(name.into(), value);
            }
        };
        set("iss", self.issuer.map(Value::from));
        set("sub", self.subject.map(Value::from));
        set(
            "aud",
            match &self.audience[..] {
                [] => None,
                [single] => Some(single.as_str().into()),
                several => Some(several.into()),
            },
        );
        set("scope", self.scope.map(Value::from));
        if let Some(expires_in) = self.expires_in {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            set("iat", Some(now.as_secs().into()));
            set("exp", Some((now + expires_in).as_secs().into()));
        }
        match SigningKey::from_file(&self.key, self.kid.as_deref(), self.alg) {
            Ok(key) => Ok(key.sign(&Value::Object(claims))),
            Err(source) => Err(TokenError::Key { path: self.key, source }),
        }
    }
}

/// What is no object is bad usage.
fn claims(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON object: {error}"))
}
