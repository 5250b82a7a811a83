//! `routes[].jwt`: whose tokens a route accepts and what it asks of them.

use std::collections::HashMap;

use super::claims::requirement;
use super::credentials::locations;
use super::resources::{ProtectedResource, resources};
use super::{JsonPath, Reader, providers, resources};
use crate::control::config::raw::jwt::{Claim, OnNoKeys, default_realm};
use crate::control::config::raw::routes::{Mode as RawMode, Require, RouteJwt};
use crate::control::config::settings::ProviderConfig;
use crate::snapshot::answers::{Answers, NoKeys};
use crate::snapshot::claims_policy::{AuthPolicy, Mode, Requirement};
use crate::snapshot::credentials::{Credentials, TokenLocation};
use crate::snapshot::ids::ProviderId;
use crate::snapshot::provider::Issuer;

/// What the token rules of all routes refer to.
pub(super) struct Issuers<'a> {
    /// Of all providers, in the order of their ids.
    names: Vec<String>,
    /// Those whose shape is right.
    configs: &'a [ProviderConfig],
    delimiters: HashMap<String, String>,
    realm: Box<str>,
    answers: Answers,
    resource_names: Vec<String>,
    pub(super) resources: Vec<ProtectedResource>,
}

impl<'a> Issuers<'a> {
    pub(super) fn new(reader: &mut Reader<'_>, configs: &'a [ProviderConfig]) -> Self {
        Self {
            names: reader.names(&providers::path()),
            configs,
            delimiters: delimiters(reader),
            realm: realm(reader),
            answers: answers(reader),
            resource_names: reader.names(&resources::path()),
            resources: resources(reader),
        }
    }
}

impl Issuers<'_> {
    /// Where the metadata of the resource at this position is; none where the resource is bad.
    fn metadata_url(&self, position: usize) -> Option<Box<str>> {
        let name = self.resource_names.get(position)?;
        let resource = self.resources.iter().find(|resource| resource.is_called(name));
        resource.map(|resource| resource.url.clone())
    }
}

/// The token rules of one route; none where a problem was noted.
pub(super) fn policy(
    reader: &mut Reader<'_>,
    issuers: &Issuers<'_>,
    path: &JsonPath,
    raw: RouteJwt,
) -> Option<AuthPolicy> {
    let RouteJwt {
        mode,
        providers,
        from,
        all_must_verify,
        bypass_preflight,
        allowed_origins,
        resource,
        require,
    } = raw;
    let list = path.join("providers");
    let mut ids = Vec::with_capacity(providers.len());
    for (index, name) in providers.iter().enumerate() {
        let at = list.join(index);
        let found = reader.refer(("jwt.providers", "provider"), &issuers.names, name, &at);
        let id = found.and_then(ProviderId::new);
        if id.is_some_and(|id| ids.contains(&id)) {
            reader.problem(&at, format!("{name:?} stands here twice; allowed: once"));
        }
        let any = |config: &ProviderConfig| *config.name == **name && config.issuer == Issuer::Any;
        if providers.len() > 1 && issuers.configs.iter().any(any) {
            let what = "has the issuer \"any\"; allowed: as the only provider of the route";
            reader.problem(&at, format!("{name:?} {what}"));
        }
        ids.extend(id);
    }
    same_issuer_once(reader, issuers, &list, &providers);
    let own = locations(reader, &path.join("from"), from.as_deref());
    let locations = own.or_else(|| common_locations(reader, issuers, &list, &providers));
    let require = requirements(reader, issuers, path, &providers, require);
    // Every problem is in the list by now; a policy with a part left out must not get further.
    let require = require.into_iter().collect::<Option<Vec<_>>>()?;
    let mode = match mode {
        RawMode::Strict => Mode::Strict,
        RawMode::Optional => Mode::Optional,
        RawMode::Permissive => Mode::Permissive,
    };
    let whole = ids.len() == providers.len();
    let credentials = Credentials { locations: locations?, all_must_verify };
    let (realm, mut answers) = (issuers.realm.clone(), issuers.answers.clone());
    answers.allowed_origins = origins(reader, &path.join("allowed_origins"), allowed_origins);
    if let Some(name) = resource {
        let section = ("jwt.resources", "resource");
        let found = reader.refer(section, &issuers.resource_names, &name, &path.join("resource"));
        answers.resource_metadata = issuers.metadata_url(found?);
    }
    whole.then_some(AuthPolicy {
        mode,
        providers: ids,
        credentials,
        bypass_preflight,
        require,
        realm,
        answers,
    })
}

/// Origins in the one spelling that browsers send (RFC 6454 section 6.2); they are compared with it.
fn origins(reader: &mut Reader<'_>, path: &JsonPath, raw: Vec<String>) -> Vec<Box<str>> {
    for (index, origin) in raw.iter().enumerate() {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let host_char = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9') || b"-._:[]".contains(&b);
        if !host.is_some_and(|host| !host.is_empty() && host.bytes().all(host_char)) {
            let what = "is no origin; allowed: such as \"https://app.example.com\", in lower case";
            reader.problem(&path.join(index), format!("{origin:?} {what}"));
        }
    }
    raw.into_iter().map(Box::from).collect()
}

/// Where all providers of a route say that their tokens are.
fn common_locations(
    reader: &mut Reader<'_>,
    issuers: &Issuers<'_>,
    list: &JsonPath,
    providers: &[String],
) -> Option<Vec<TokenLocation>> {
    let config = |name: &String| issuers.configs.iter().find(|config| *config.name == **name);
    let mut configs = providers.iter().filter_map(config);
    let common = &configs.next()?.locations;
    if configs.any(|other| other.locations != *common) {
        // A token must not be believed at a place that its provider does not name.
        let what = "differ in from; allowed: the same in each, or from beside providers";
        reader.problem(list, what);
    }
    Some(common.clone())
}

/// Two providers of one route with the same issuer: the second would never be asked.
fn same_issuer_once(
    reader: &mut Reader<'_>,
    issuers: &Issuers<'_>,
    list: &JsonPath,
    providers: &[String],
) {
    let config = |name: &String| issuers.configs.iter().find(|config| *config.name == **name);
    for (index, name) in providers.iter().enumerate() {
        let Some(this) = config(name) else { continue };
        let earlier = providers[..index].iter().filter(|other| *other != name).find(|other| {
            config(other).is_some_and(|other| {
                other.issuer == this.issuer && matches!(this.issuer, Issuer::Exact(_))
            })
        });
        if let Some(other) = earlier {
            let what =
                format!("has the same issuer as {other:?}; allowed: each issuer once a route");
            reader.problem(&list.join(index), what);
        }
    }
}

fn requirements(
    reader: &mut Reader<'_>,
    issuers: &Issuers<'_>,
    path: &JsonPath,
    providers: &[String],
    raw: Vec<Require>,
) -> Vec<Option<Requirement>> {
    let mut delimiters: Vec<&str> = providers
        .iter()
        .filter_map(|name| issuers.delimiters.get(name))
        .map(String::as_str)
        .collect();
    delimiters.sort_unstable();
    delimiters.dedup();
    let delimiter = delimiters.first().copied().unwrap_or_default();
    let mut rules = Vec::with_capacity(raw.len());
    for (index, rule) in raw.into_iter().enumerate() {
        let path = path.join("require").join(index);
        if delimiters.len() > 1 && claims_of(&rule).any(|claim| is_split(claim, &delimiters)) {
            let what = "is split differently by the route's providers, whose nested_claim_delimiter \
                        differs; allowed: an array of names or a JSON Pointer";
            reader.problem(&path, what);
        }
        rules.push(requirement(reader, rule, delimiter, &path));
    }
    rules
}

fn claims_of(rule: &Require) -> impl Iterator<Item = &Claim> {
    let alternatives = rule.any_of.iter().flatten().map(|condition| &condition.claim);
    rule.claim.iter().chain(alternatives)
}

/// Whether any of the delimiters would split this claim's name.
fn is_split(claim: &Claim, delimiters: &[&str]) -> bool {
    let splits = |name: &str| delimiters.iter().any(|d| !d.is_empty() && name.contains(d));
    matches!(claim, Claim::Name(name) if !name.starts_with('/') && splits(name))
}

/// The delimiter of each provider, whatever the rest of its shape.
fn delimiters(reader: &mut Reader<'_>) -> HashMap<String, String> {
    let names = reader.names(&providers::path());
    let delimiter = |name: String| {
        let path = providers::path().join(name.as_str()).join("nested_claim_delimiter");
        let delimiter = reader.read(&path).unwrap_or_default();
        (name, delimiter)
    };
    names.into_iter().map(delimiter).collect()
}

fn answers(reader: &mut Reader<'_>) -> Answers {
    let path = JsonPath::from(["jwt"]);
    let strip_details = reader.read(&path.join("strip_failure_details")).unwrap_or_default();
    let no_keys = match reader.read(&path.join("on_no_keys")).unwrap_or_default() {
        OnNoKeys::Unavailable => NoKeys::Unavailable,
        OnNoKeys::Unauthorized => NoKeys::Unauthorized,
    };
    Answers { strip_details, no_keys, ..Answers::default() }
}

fn realm(reader: &mut Reader<'_>) -> Box<str> {
    let path = JsonPath::from(["jwt", "realm"]);
    let realm = reader.read(&path).unwrap_or_else(default_realm);
    // What a quoted-string holds without escapes (RFC 9110 section 5.6.4), less tab and obs-text.
    let plain = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
    if !realm.bytes().all(plain) {
        let what = "cannot stand in a challenge; allowed: printable ASCII without \" and \\";
        reader.problem(&path, format!("{realm:?} {what}"));
    }
    realm.into()
}
