//! Which route a request takes: the most specific match, whatever the order in the file.
//!
//! Routes are compared by listener, then host, then path, then method, then conditions:
//!
//! 1. a route for the request's listener before one for any listener;
//! 2. an exact host before the longest `*.` wildcard, that before a shorter one, that before any;
//! 3. an exact path before the longest prefix, that before a shorter one (`/a/` is longer than `/a`);
//! 4. a route that names the method before one for any method;
//! 5. the more conditions on query and fields the earlier, then the order of the file.
//!
//! The best listener, host and path that match decide. Where no route there takes the method and
//! what else the request has there is no route: a request never falls back to a broader path, host
//! or listener because of these, since the broader route may ask for less. `GET` does not stand for
//! `HEAD`. Nor is there one for a request that has several values where a route there, for its
//! method, asks for one: readers may take different ones.
//!
//! CONNECT, whose target has no path, is looked for among the routes that are for it alone.
//!
//! Paths are compared segment by segment as the most lenient upstream would read them, so that a
//! spelling cannot slip past a route: percent-escapes are decoded, empty segments skipped, what
//! follows `;` in a segment ignored. A path with a dot segment, a backslash, a broken escape or an
//! escaped NUL has no route. Nor has one with an escaped `/` or `\`, unless the route is the same
//! whether that separates segments or not.

use hashbrown::HashMap;

use super::certificate_rule::CertificateRule;
use super::claims_policy::AuthPolicy;
use super::client_rule::ClientRule;
use super::connect_rule::ConnectRule;
use super::cors::Cors;
use super::field_edits::{FieldEdits, Hsts};
use super::ids::{ListenerId, RouteId, UpstreamId};
use super::limits::RouteBounds;
use super::redirect::Redirect;
use super::rewrite::Rewrite;
use super::route_condition::{Condition, Held};
use super::route_match::{
    HOST_BYTES_MAX, HostPattern, Method, PathKind, PathPattern, Reading, RouteMatch,
    SEGMENT_BYTES_MAX, Segment, Takes, decode_segment, has_encoded_separator, segments,
};
use crate::telemetry::labels::RouteCounters;
use slot::Slot;

mod slot;

/// All routes, arranged for look-up.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
    requests: ListenerTable,
    connects: ListenerTable,
}

/// Routes of one kind, by listener.
#[derive(Debug, Default)]
struct ListenerTable {
    /// Those that name a listener, by [`ListenerId`]; shorter than the list of listeners where
    /// the last of them have no routes of their own.
    by_listener: Vec<HostTable>,
    /// Those for any listener.
    any_listener: HostTable,
}

/// What happens to the requests that a match selects.
#[derive(Debug)]
pub struct Route {
    /// As configured or made from the position (`routes[0]`); the `route` label.
    pub name: Box<str>,
    /// Which clients may use it, whatever their token.
    pub clients: ClientRule,
    /// Which certificates they must have shown.
    pub certificates: CertificateRule,
    /// The token rules, or none: anyone passes.
    pub auth: Option<AuthPolicy>,
    /// What everyone is answered instead, whatever their token.
    pub maintenance: Option<FixedResponse>,
    /// What is done with a request that passes.
    pub action: Action,
    /// To which ports it leads, if it takes CONNECT.
    pub connect: Option<ConnectRule>,
    /// The path that its upstream is asked for; none: the request's.
    pub rewrite: Option<Rewrite>,
    /// What is done to the fields of its requests.
    pub request_fields: FieldEdits,
    /// What is done to those of its responses.
    pub response_fields: FieldEdits,
    /// What its responses say of https; none: what those of the listener say.
    pub hsts: Option<Hsts>,
    /// Which pages of other origins may use it; none: that is up to the upstream.
    pub cors: Option<Cors>,
    /// What is refused or ended on it for its size or slowness.
    pub bounds: RouteBounds,
    /// The cells that count what happens on it.
    pub counters: RouteCounters,
}

/// What is done with a request that passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Forward it.
    Proxy(UpstreamId),
    /// Answer it here.
    Respond(FixedResponse),
    /// Send it elsewhere, by what it asks for.
    Redirect(Redirect),
}

/// An answer known at compile time of the snapshot: of `respond` and of maintenance, and of a `redirect`
/// to one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedResponse {
    /// 200..=599.
    pub status: u16,
    /// Extra fields, valid, in order: `Content-Type`, `Location`.
    pub fields: Vec<(Box<str>, Box<str>)>,
    /// Sent with `Content-Length`.
    pub body: Box<[u8]>,
}

impl Route {
    /// The body of the answer that requests get here, where that is the same for all.
    #[must_use]
    pub fn fixed_body(&self) -> &[u8] {
        match (&self.maintenance, &self.action) {
            (Some(response), _) | (None, Action::Respond(response)) => &response.body,
            (None, Action::Proxy(_) | Action::Redirect(_)) => &[],
        }
    }
}

/// Why a request has no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// Its path means different things to different readers.
    Path,
    /// No route matches its listener, host and path.
    Place,
    /// Routes match these, and none of the most specific takes the method.
    Method,
    /// Some of these take the method, and ask for something else that the request has not.
    Condition,
    /// The request has several values where one of these asks for one.
    Unclear,
}

impl RouteTable {
    /// Arranges routes; the id of each is its position.
    ///
    /// # Panics
    /// When two of them tie ([`ties`]) or there are more than [`RouteId::MAX`]: the configuration
    /// refuses both.
    #[must_use]
    pub fn new(routes: Vec<(RouteMatch, Route)>) -> Self {
        let mut table = Self {
            routes: Vec::with_capacity(routes.len()),
            requests: ListenerTable::default(),
            connects: ListenerTable::default(),
        };
        for (index, (selects, route)) in routes.into_iter().enumerate() {
            let id = RouteId::new(index).expect("the configuration bounds the number of routes");
            let listeners = match selects.takes {
                Takes::Requests => &mut table.requests,
                Takes::Connects => &mut table.connects,
            };
            let hosts = listeners.hosts_mut(selects.listener);
            hosts.trie_mut(&selects.host).slot_mut(&selects.path).insert(selects, id);
            table.routes.push(route);
        }
        table
    }

    /// The route for a request, or none (404). `host` is lower-case without a port; `path` is
    /// the target's path without the query, and `/` of a CONNECT; `held` tells of a condition whether
    /// the request meets it, and is asked where routes have some. Allocates nothing itself.
    #[must_use]
    pub fn find(
        &self,
        listener: ListenerId,
        host: &str,
        path: &str,
        method: &str,
        held: impl Fn(&Condition) -> Held,
    ) -> Option<RouteId> {
        let found = |reading| {
            if !is_routable(path, reading) {
                return None;
            }
            self.kind(method).slot(listener, host, path, reading)?.route(method, &held).ok()
        };
        let route = found(Reading::AsSpelled)?;
        let is_plain = !has_encoded_separator(path) || found(Reading::Decoded) == Some(route);
        is_plain.then_some(route)
    }

    /// Why [`Self::find`] finds no route for a request.
    #[must_use]
    pub fn miss(
        &self,
        listener: ListenerId,
        host: &str,
        path: &str,
        method: &str,
        held: impl Fn(&Condition) -> Held,
    ) -> Miss {
        let slot = |reading| self.kind(method).slot(listener, host, path, reading);
        let differs = || {
            let [one, other] = [Reading::AsSpelled, Reading::Decoded].map(slot);
            one.map(std::ptr::from_ref) != other.map(std::ptr::from_ref)
        };
        if !is_routable(path, Reading::Decoded) || (has_encoded_separator(path) && differs()) {
            return Miss::Path;
        }
        let asked = slot(Reading::AsSpelled).map(|slot| slot.route(method, held));
        asked.and_then(Result::err).unwrap_or(Miss::Place)
    }

    /// The routes that may take a request with this method.
    fn kind(&self, method: &str) -> &ListenerTable {
        if method == "CONNECT" { &self.connects } else { &self.requests }
    }

    /// The route with this id; ids are made by the compiler of this table and fit it.
    #[must_use]
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.index()]
    }

    /// Every route, in the order of the file.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }
}

impl ListenerTable {
    fn hosts_mut(&mut self, listener: Option<ListenerId>) -> &mut HostTable {
        let Some(listener) = listener else { return &mut self.any_listener };
        let needed = self.by_listener.len().max(listener.index() + 1);
        self.by_listener.resize_with(needed, HostTable::default);
        &mut self.by_listener[listener.index()]
    }

    /// The routes of the most specific listener, host and path that match a routable path.
    fn slot(
        &self,
        listener: ListenerId,
        host: &str,
        path: &str,
        reading: Reading,
    ) -> Option<&Slot> {
        let own = self.by_listener.get(listener.index());
        own.and_then(|hosts| hosts.find(host, path, reading))
            .or_else(|| self.any_listener.find(host, path, reading))
    }
}

/// Pairs of positions whose matches take the same requests, for some method: the same kind, listener,
/// host, path and conditions, and a method in common. The later one comes second.
#[must_use]
pub fn ties(matches: &[&RouteMatch]) -> Vec<(usize, usize)> {
    let mut seen: FixedMap<_, Vec<usize>> = FixedMap::default();
    let mut found = Vec::new();
    for (index, selects) in matches.iter().enumerate() {
        let RouteMatch { takes, listener, host, path, methods: _, conditions } = selects;
        let same = seen.entry((takes, listener, host, path, conditions)).or_default();
        let tied = |other: &&usize| share_a_method(&matches[**other].methods, &selects.methods);
        found.extend(same.iter().find(tied).map(|other| (*other, index)));
        same.push(index);
    }
    found
}

/// Whether one request can be equally well taken by both lists.
fn share_a_method(a: &[Method], b: &[Method]) -> bool {
    (a.is_empty() && b.is_empty()) || a.iter().any(|method| b.contains(method))
}

/// Whether the path means the same to everyone who reads it; see the module's text.
fn is_routable(path: &str, reading: Reading) -> bool {
    let mut buffer = [0; SEGMENT_BYTES_MAX];
    path.starts_with('/')
        && segments(path, reading).all(|raw| {
            // Only these bytes can make a segment mean something else than it says.
            memchr::memchr3(b'.', b'%', b'\\', raw).is_none()
                || !matches!(decode_segment(raw, &mut buffer), Segment::Dots | Segment::Malformed)
        })
}

type FixedMap<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// The routes of one listener, or of any, by host.
#[derive(Debug, Default)]
struct HostTable {
    exact: FixedMap<Box<str>, PathTrie>,
    below: FixedMap<Box<str>, PathTrie>,
    /// Length of the longest key of `below`: longer suffixes of a host need no look-up.
    below_bytes_max: usize,
    any: PathTrie,
}

impl HostTable {
    fn trie_mut(&mut self, host: &HostPattern) -> &mut PathTrie {
        match host {
            HostPattern::Any => &mut self.any,
            HostPattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            HostPattern::Below(name) => {
                self.below_bytes_max = self.below_bytes_max.max(name.len());
                self.below.entry(name.clone()).or_default()
            }
        }
    }

    fn find(&self, host: &str, path: &str, reading: Reading) -> Option<&Slot> {
        self.find_named(host, path, reading).or_else(|| self.any.find(path, reading))
    }

    /// The slot under the most specific pattern that names the host.
    fn find_named(&self, host: &str, path: &str, reading: Reading) -> Option<&Slot> {
        // With the root's dot at its end a name is the same name (RFC 1034 section 3.1).
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.is_empty() || host.len() > HOST_BYTES_MAX {
            return None;
        }
        if let Some(slot) = self.exact.get(host).and_then(|trie| trie.find(path, reading)) {
            return Some(slot);
        }
        if self.below.is_empty() {
            return None;
        }
        memchr::memchr_iter(b'.', host.as_bytes())
            .map(|dot| &host[dot + 1..])
            .filter(|suffix| suffix.len() <= self.below_bytes_max)
            .find_map(|suffix| self.below.get(suffix)?.find(path, reading))
    }
}

/// The routes of one host, by path: one node a segment, the root first.
#[derive(Debug)]
struct PathTrie {
    nodes: Vec<Node>,
}

impl Default for PathTrie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

/// Where a path stands after some segments.
#[derive(Debug, Default)]
struct Node {
    children: FixedMap<Box<[u8]>, usize>,
    exact: Ending,
    prefix: Ending,
}

/// What is configured for a path that ends here, without and with a slash at its end.
#[derive(Debug, Default)]
struct Ending {
    bare: Option<Slot>,
    slash: Option<Slot>,
}

impl PathTrie {
    fn slot_mut(&mut self, path: &PathPattern) -> &mut Slot {
        let mut at = 0;
        for segment in path.segments() {
            let next = self.nodes.len();
            at = *self.nodes[at].children.entry(segment.clone()).or_insert(next);
            if at == next {
                self.nodes.push(Node::default());
            }
        }
        let ending = match path.kind() {
            PathKind::Exact => &mut self.nodes[at].exact,
            PathKind::Prefix => &mut self.nodes[at].prefix,
        };
        let slot = if path.trailing_slash() { &mut ending.slash } else { &mut ending.bare };
        slot.get_or_insert_default()
    }

    /// The slot of the most specific pattern that takes a path found routable.
    fn find(&self, path: &str, reading: Reading) -> Option<&Slot> {
        let mut node = self.nodes.first()?;
        let mut best = None;
        let mut trailing_slash = true;
        let mut buffer = [0; SEGMENT_BYTES_MAX];
        for raw in segments(path, reading) {
            let segment = match decode_segment(raw, &mut buffer) {
                Segment::Empty => {
                    trailing_slash = true;
                    continue;
                }
                Segment::Plain(segment) => Some(segment),
                Segment::TooLong | Segment::Dots | Segment::Malformed => None,
            };
            trailing_slash = false;
            best = node.prefix.slash.as_ref().or(node.prefix.bare.as_ref()).or(best);
            match segment.and_then(|segment| node.children.get(segment)) {
                Some(&child) => node = &self.nodes[child],
                None => return best,
            }
        }
        let exact = if trailing_slash { &node.exact.slash } else { &node.exact.bare };
        let prefix_slash = node.prefix.slash.as_ref().filter(|_| trailing_slash);
        exact.as_ref().or(prefix_slash).or(node.prefix.bare.as_ref()).or(best)
    }
}

#[cfg(test)]
mod tests;
