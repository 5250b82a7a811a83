//! Which route a request takes: the most specific match, whatever the order in the file.

use super::claims_policy::AuthPolicy;
use super::ids::{ListenerId, RouteId, UpstreamId};
use crate::telemetry::labels::RouteCounters;

/// All routes, arranged for look-up.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
}

/// What happens to the requests that a match selects.
#[derive(Debug)]
pub struct Route {
    /// As configured or made from the position (`routes[0]`); the `route` label.
    pub name: Box<str>,
    /// The token rules, or none: anyone passes.
    pub auth: Option<AuthPolicy>,
    /// What is done with a request that passes.
    pub action: Action,
    /// The cells that count what happens on it.
    pub counters: RouteCounters,
}

/// What is done with a request that passes.
#[derive(Debug)]
pub enum Action {
    /// Forward it.
    Proxy(UpstreamId),
    /// Answer it here.
    Respond(FixedResponse),
}

/// An answer known at compile time of the snapshot: `respond` and `redirect` routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedResponse {
    /// 200..=599.
    pub status: u16,
    /// Extra fields, valid, in order: `Content-Type`, `Location`.
    pub fields: Vec<(Box<str>, Box<str>)>,
    /// Sent with `Content-Length`.
    pub body: Box<[u8]>,
}

impl RouteTable {
    /// The route for a request, or none (404). `host` is lower-case without a port; `path` is
    /// the target's path without the query. Allocates nothing.
    #[must_use]
    pub fn find(
        &self,
        _listener: ListenerId,
        _host: &str,
        _path: &str,
        _method: &str,
    ) -> Option<RouteId> {
        None
    }

    /// The route with this id; ids are made by the compiler of this table and fit it.
    #[must_use]
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.index()]
    }
}
