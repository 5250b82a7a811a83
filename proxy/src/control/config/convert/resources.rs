//! `jwt.resources`: metadata of protected resources (RFC 9728) and the routes that serve it.

use serde_json::json;

use super::{JsonPath, Reader};
use crate::control::config::raw::jwt::Resource;
use crate::control::config::settings::{ProviderConfig, RouteConfig, RouteOverrides};
use crate::snapshot::certificate_rule::CertificateRule;
use crate::snapshot::client_rule::ClientRule;
use crate::snapshot::field_edits::FieldEdits;
use crate::snapshot::ids::ListenerId;
use crate::snapshot::provider::Issuer;
use crate::snapshot::route_match::{HostPattern, Method, PathKind, PathPattern, RouteMatch, Takes};
use crate::snapshot::route_table::{Action, FixedResponse};

/// Registered by RFC 9728 section 8.1; the path of the resource follows it.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

pub(super) fn path() -> JsonPath {
    JsonPath::from(["jwt", "resources"])
}

/// A protected resource and where its metadata is.
pub(super) struct ProtectedResource {
    name: String,
    raw: Resource,
    /// Of the metadata.
    pub(super) url: Box<str>,
    host: HostPattern,
    path: PathPattern,
}

impl ProtectedResource {
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name
    }
}

/// The resources whose identifiers are good.
pub(super) fn resources(reader: &mut Reader<'_>) -> Vec<ProtectedResource> {
    let mut resources: Vec<ProtectedResource> = Vec::new();
    for (name, path, raw) in reader.members::<Resource>(&path()) {
        reader.check_name(&path, &name);
        let Some(resource) = resource(name, raw) else {
            let what = "is no identifier of a resource; allowed: such as \"https://api.example.com/orders\"";
            reader.problem(&path.join("resource"), what);
            continue;
        };
        if let Some(other) = resources.iter().find(|other| other.url == resource.url) {
            let what = format!("is that of {:?}; allowed: one of its own", other.name);
            reader.problem(&path.join("resource"), what);
        }
        resources.push(resource);
    }
    resources
}

fn resource(name: String, raw: Resource) -> Option<ProtectedResource> {
    let rest = raw.resource.strip_prefix("https://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path == "/" { "" } else { path };
    let plain = |b: u8| b.is_ascii_graphic() && !b"\"\\?#@%".contains(&b);
    if authority.is_empty() || !rest.bytes().all(plain) {
        return None;
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => port.parse::<u16>().ok().map(|_| host)?,
        _ => authority,
    };
    let served = format!("{WELL_KNOWN}{path}");
    Some(ProtectedResource {
        name,
        url: format!("https://{authority}{served}").into(),
        host: HostPattern::parse(host).ok()?,
        path: PathPattern::parse(&served, PathKind::Exact).ok()?,
        raw,
    })
}

/// The routes that serve the metadata, each with the place of its resource: on every listener that
/// has a route of the resource.
pub(super) fn metadata_routes(
    resources: &[ProtectedResource],
    routes: &[(JsonPath, RouteConfig)],
    providers: &[ProviderConfig],
) -> Vec<(JsonPath, RouteConfig)> {
    let mut added = Vec::new();
    for resource in resources {
        let parts: Vec<&RouteConfig> = routes
            .iter()
            .map(|(_, route)| route)
            .filter(|route| is_part(route, resource))
            .collect();
        let mut listeners: Vec<Option<ListenerId>> = Vec::new();
        for part in &parts {
            if !listeners.contains(&part.selects.listener) {
                listeners.push(part.selects.listener);
            }
        }
        let body = metadata(&resource.raw, &parts, providers);
        for listener in listeners {
            // No route of the file has a colon in its name.
            let place = listener.map_or(String::new(), |id| format!(":{}", id.index()));
            let selects = RouteMatch {
                takes: Takes::Requests,
                listener,
                host: resource.host.clone(),
                path: resource.path.clone(),
                methods: ["GET", "HEAD"].into_iter().filter_map(Method::parse).collect(),
                conditions: Vec::new(),
            };
            let response = FixedResponse {
                status: 200,
                fields: vec![("Content-Type".into(), "application/json".into())],
                body: body.clone().into_bytes().into(),
            };
            let config = RouteConfig {
                certificates: CertificateRule::default(),
                name: format!("resource:{}{place}", resource.name).into(),
                selects,
                clients: ClientRule::default(),
                auth: None,
                action: Action::Respond(response),
                connect: None,
                rewrite: None,
                maintenance: None,
                hsts: None,
                request_fields: FieldEdits::default(),
                response_fields: FieldEdits::default(),
                cors: None,
                bounds: RouteOverrides::default(),
            };
            added.push((path().join(resource.name.as_str()), config));
        }
    }
    added
}

fn is_part(route: &RouteConfig, resource: &ProtectedResource) -> bool {
    let named = route.auth.as_ref().and_then(|auth| auth.answers.resource_metadata.as_ref());
    named == Some(&resource.url)
}

/// The document of RFC 9728 section 3.2.
fn metadata(raw: &Resource, parts: &[&RouteConfig], providers: &[ProviderConfig]) -> String {
    let servers = raw.authorization_servers.clone().unwrap_or_else(|| {
        let of_routes = parts.iter().flat_map(|part| part.auth.iter().flat_map(|a| &a.providers));
        let mut servers: Vec<String> = Vec::new();
        for provider in of_routes.filter_map(|id| providers.get(id.index())) {
            let Issuer::Exact(issuer) = &provider.issuer else { continue };
            if !servers.iter().any(|known| **known == **issuer) {
                servers.push(issuer.to_string());
            }
        }
        servers
    });
    let mut document = json!({ "resource": raw.resource });
    // Section 3.2: a member without values is left out.
    if !servers.is_empty() {
        document["authorization_servers"] = json!(servers);
    }
    if !raw.scopes_supported.is_empty() {
        document["scopes_supported"] = json!(raw.scopes_supported);
    }
    format!("{document}\n")
}
