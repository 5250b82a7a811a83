//! `ringgate verify`: one token against a key set, each check shown.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::auth::{Criteria, Explanation, UnixTime, explain, explain_signature};
use crate::cli::token::algorithm;
use crate::control::jwks::parse::{ParsedSet, parse_set};
use crate::snapshot::answers::Answers;
use crate::snapshot::claims_policy::{AuthPolicy, EndWithToken, Mode};
use crate::snapshot::credentials::Credentials;
use crate::snapshot::deny_list::DenyList;
use crate::snapshot::ids::{Generation, ProviderId};
use crate::snapshot::key_set::Algorithm;
use crate::snapshot::provider::{Audiences, Binding, Issuer, Provider, TokenChecks};
use crate::tls::thumbprint_of_pem;

/// The exit code for a command line that is not understood.
const BAD_USAGE: u8 = 64;
/// What any provider may allow at most.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Verify a token and show each check; exit 0 where it is accepted, 1 where not, 64 where there is
/// nothing to judge: no key set or no token could be read.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// A file with the key set of the issuer.
    #[arg(long)]
    jwks: PathBuf,
    /// The issuer to believe; any without it.
    #[arg(long)]
    issuer: Option<String>,
    /// An audience to believe, may be repeated; any without it.
    #[arg(long)]
    audience: Vec<String>,
    /// Algorithms to allow, separated by commas; all that are for public keys without it.
    #[arg(long, value_delimiter = ',', value_parser = algorithm)]
    algorithms: Vec<Algorithm>,
    /// Tolerance for times, at most 5m.
    #[arg(long, default_value = "0s", value_parser = leeway)]
    leeway: Duration,
    /// The time to judge by, in seconds since the epoch; the clock's without it.
    #[arg(long)]
    now: Option<i64>,
    /// A PEM file with the certificate of the client: a token must be bound to it or to none
    /// (RFC 8705). Without it that is not looked at.
    #[arg(long)]
    client_certificate: Option<PathBuf>,
    /// Judge the signature only: for a payload that is no claims set.
    #[arg(long, conflicts_with_all = ["issuer", "audience", "leeway", "now", "client_certificate"])]
    signature_only: bool,
    /// The token, or - to read it from standard input.
    token: String,
}

impl Verify {
    /// Verifies the token; the checks go to standard output.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.explanation() {
            Ok(explanation) => {
                let written = std::io::stdout().write_all(describe(&explanation).as_bytes());
                let accepted = explanation.verdict.is_ok() && written.is_ok();
                if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(problem) => {
                let _ = writeln!(std::io::stderr(), "ringgate verify: {problem}");
                ExitCode::from(BAD_USAGE)
            }
        }
    }

    /// The error says what about the arguments cannot be used.
    fn explanation(self) -> Result<Explanation, String> {
        let path = self.jwks.display();
        let set = std::fs::read(&self.jwks).map_err(|error| format!("{path}: {error}"))?;
        let set = parse_set(&set).map_err(|error| format!("{path}: {error}"))?;
        for ignored in &set.ignored {
            let _ = writeln!(std::io::stderr(), "{path}: ignored {ignored}");
        }
        let token = match &*self.token {
            "-" => {
                let mut token = String::new();
                let mut input = std::io::stdin().take(1024 * 1024);
                input.read_to_string(&mut token).map_err(|error| format!("stdin: {error}"))?;
                token.trim_ascii().to_owned()
            }
            token => token.to_owned(),
        };
        let now = self.now.map_or_else(clock, UnixTime);
        let signature_only = self.signature_only;
        let thumbprint = self.client_certificate.as_deref().map(thumbprint).transpose()?;
        let provider = self.provider(set);
        if signature_only {
            return Ok(explain_signature(token.as_bytes(), &provider));
        }
        let policy = AuthPolicy {
            mode: Mode::Strict,
            providers: ProviderId::new(0).into_iter().collect(),
            credentials: Credentials::default(),
            end_with_token: EndWithToken::default(),
            bypass_preflight: false,
            require: Vec::new(),
            realm: "ringgate".into(),
            answers: Answers::default(),
        };
        let criteria = Criteria {
            policy: &policy,
            providers: &[provider],
            deny_list: &DenyList::default(),
            certificate: thumbprint.as_deref(),
            generation: Generation::default(),
            now,
        };
        Ok(explain(token.as_bytes(), &criteria))
    }

    fn provider(self, set: ParsedSet) -> Provider {
        Provider {
            name: "verify".into(),
            issuer: self.issuer.map_or(Issuer::Any, |issuer| Issuer::Exact(issuer.into())),
            audiences: match self.audience {
                none if none.is_empty() => Audiences::Any,
                some => Audiences::AnyOf(some.into_iter().map(Into::into).collect()),
            },
            algorithms: match self.algorithms {
                none if none.is_empty() => Algorithm::ASYMMETRIC.to_vec(),
                some => some,
            },
            leeway: self.leeway,
            require_exp: true,
            token_bytes_max: TOKEN_BYTES_MAX,
            forward_token: false,
            claim_headers: Vec::new(),
            checks: TokenChecks {
                binding: match self.client_certificate {
                    Some(_) => Binding::Enforced,
                    None => Binding::Ignored,
                },
                ..TokenChecks::default()
            },
            key_tries_max: Provider::KEY_TRIES_DEFAULT,
            unknown_kid_wait: None,
            keys: Some(Arc::new(set.keys)),
        }
    }
}

/// The SHA-256 of the certificate in a file, as tokens name it.
fn thumbprint(file: &Path) -> Result<String, String> {
    let pem = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    thumbprint_of_pem(&pem).ok_or_else(|| format!("{}: no certificate in PEM", file.display()))
}

/// One line a check and one for the verdict.
fn describe(explanation: &Explanation) -> String {
    let mut text = String::new();
    for finding in &explanation.findings {
        let outcome = if finding.outcome.is_ok() { "ok" } else { "FAILED" };
        let (check, found, wanted) = (finding.check, &finding.found, &finding.wanted);
        text.push_str(&format!("{outcome:6} {check}: {found}; wanted: {wanted}\n"));
    }
    match &explanation.verdict {
        Ok(()) => text.push_str("accepted\n"),
        Err(refusal) => {
            let (code, phrase) = (refusal.reason.code(), refusal.reason.description());
            text.push_str(&format!("rejected: {phrase} ({code})\n"));
        }
    }
    text
}

pub(super) fn clock() -> UnixTime {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixTime(i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

/// The configuration's limit holds here too.
fn leeway(text: &str) -> Result<Duration, String> {
    let leeway = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if leeway <= Duration::from_secs(300) { Ok(leeway) } else { Err("at most 5m".into()) }
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;
