//! Configuration files made in the test: a whole valid one, then the keys that the test is about.

use serde_json::{Value, json};

use super::issuer::Issuer;
use super::token::{AUDIENCE, ISSUER, Key, jwks};
use super::upstream::Upstream;

/// A configuration as JSON.
#[derive(Clone)]
pub struct Config(Value);

#[allow(clippy::needless_pass_by_value, reason = "`json!` literals are handed over")]
impl Config {
    /// One listener called `public`, an admin listener, one worker, and no routes yet.
    ///
    /// One worker makes pooled connections and gauges exact; tests about several set `workers`.
    pub fn new() -> Self {
        Self(json!({
            "workers": 1,
            "listeners": [{ "name": "public", "address": "127.0.0.1:0" }],
            "upstreams": {},
            "routes": [],
            "admin": { "address": "127.0.0.1:0" },
            "access_log": { "target": "stdout" },
        }))
    }

    /// One route that sends everything to an upstream called `main`.
    pub fn forwarding_to(upstream: &Upstream) -> Self {
        Self::new().endpoints("main", &[upstream.endpoint()]).route(json!({
            "match": {}, "upstream": "main",
        }))
    }

    /// As [`Self::forwarding_to`], with a strict token rule of provider `tests`, whose keys are
    /// written into the file.
    pub fn protecting(upstream: &Upstream, keys: &[&Key]) -> Self {
        Self::new()
            .endpoints("main", &[upstream.endpoint()])
            .provider("tests", ISSUER, json!({ "inline": jwks(keys) }))
            .route(json!({
                "match": {}, "jwt": { "mode": "strict", "providers": ["tests"] }, "upstream": "main",
            }))
    }

    /// As [`Self::protecting`], with keys fetched over HTTP.
    pub fn protecting_with_url(upstream: &Upstream, issuer: &Issuer) -> Self {
        let mut config = Self::protecting(upstream, &[]);
        config.0["jwt"]["providers"]["tests"]["jwks"] =
            json!({ "url": issuer.url(), "refresh_interval": "1s" });
        config
    }

    /// Adds an upstream.
    pub fn endpoints(mut self, name: &str, endpoints: &[&str]) -> Self {
        self.0["upstreams"][name] = json!({ "endpoints": endpoints });
        self
    }

    /// Adds a provider that believes the audience of the tests.
    pub fn provider(mut self, name: &str, issuer: &str, jwks: Value) -> Self {
        self.0["jwt"]["providers"][name] =
            json!({ "issuer": issuer, "audiences": [AUDIENCE], "jwks": jwks });
        self
    }

    /// Adds a route.
    pub fn route(mut self, route: Value) -> Self {
        self.0["routes"].as_array_mut().unwrap().push(route);
        self
    }

    /// Adds a route that answers with this text.
    pub fn respond(self, matching: Value, body: &str) -> Self {
        self.route(json!({ "match": matching, "respond": { "status": 200, "body": body } }))
    }

    /// Sets any key; `path` is dotted, a number is an index.
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut place = &mut self.0;
        for step in path.split('.') {
            place = match step.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => &mut place[step],
            };
        }
        *place = value.into();
        self
    }
}

impl std::fmt::Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}
