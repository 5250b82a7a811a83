//! The metric families of the data plane and the cells that one listener, route or upstream owns.

use super::counters::{CounterId, Family, Kind, OutOfCells, Registry};
use super::histogram::{Buckets, Histogram};

/// Declares families: `NAME = kind "metric_name" [labels] "help"`.
macro_rules! families {
    ($($family:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $family: Family = Family {
                name: $name,
                help: $help,
                kind: Kind::$kind,
                labels: &[$($label),*],
            };
        )*
    };
}

families! {
    CONNECTIONS = Counter "ringgate_connections" ["listener"]
        "Client connections accepted.";
    CONNECTIONS_OPEN = Gauge "ringgate_connections_open" ["listener"]
        "Client connections open now.";
    CONNECTIONS_REFUSED = Counter "ringgate_connections_refused" ["listener"]
        "Client connections closed, with a 503 where it speaks HTTP, because the worker held as many as it may.";
    ACCEPT_PAUSES = Counter "ringgate_accept_pauses" ["listener"]
        "Times that a worker stopped accepting because it held as many connections as it may.";
    CONNECTIONS_OVER_TIME = Counter "ringgate_connections_over_time" ["listener"]
        "Client connections that ended because they had been open for `timeouts.connection`.";
    CONNECTIONS_IDLE = Counter "ringgate_connections_idle_ended" ["listener"]
        "Client connections that ended because no request began on them in time (`timeouts.idle`, and `timeouts.head` for the first).";
    CONNECTIONS_USED_UP = Counter "ringgate_connections_used_up" ["listener"]
        "Client connections that ended because they had as many requests as `limits.requests_per_connection`.";
    CONNECTIONS_BARRED = Counter "ringgate_connections_barred" ["listener", "by"]
        "Client connections whose source the shield's deny list or a ban names: closed at once, or only counted by a ban in shadow mode.";
    LISTENER_REQUESTS = Counter "ringgate_listener_requests" ["listener"]
        "Request heads received, good or bad.";
    RESPONSES = Counter "ringgate_responses" ["route", "class"]
        "Responses sent, by the route taken and the class of the status.";
    ROUTE_RECEIVED = Counter "ringgate_received_body_bytes" ["route"]
        "Bytes of request bodies received from clients.";
    ROUTE_SENT = Counter "ringgate_sent_body_bytes" ["route"]
        "Bytes of response bodies sent to clients.";
    TCP_ENDED = Counter "ringgate_tcp_connections_ended" ["listener", "ended"]
        "Connections of tcp listeners, by how they ended; refused: no endpoint could be reached, or there were too many.";
    TCP_RECEIVED = Counter "ringgate_tcp_received_bytes" ["listener"]
        "Bytes from clients of tcp listeners, counted when their connection ends.";
    TCP_SENT = Counter "ringgate_tcp_sent_bytes" ["listener"]
        "Bytes to clients of tcp listeners, counted when their connection ends.";
    UNKNOWN_KIDS = Counter "ringgate_unknown_kid" ["provider"]
        "Requests whose token named a key that the provider did not have, found later or not.";
    UPSTREAM_REQUESTS = Counter "ringgate_upstream_requests" ["upstream"]
        "Requests sent to an endpoint, retries included.";
    UPSTREAM_CONNECTS = Counter "ringgate_upstream_connects" ["upstream"]
        "Connections opened to an endpoint.";
    UPSTREAM_FAILURES = Counter "ringgate_upstream_failures" ["upstream"]
        "Requests or connects that an endpoint refused, left to time out or answered with garbage.";
    UPSTREAM_RETRIES = Counter "ringgate_upstream_retries" ["upstream"]
        "Requests sent again because their pooled connection proved dead.";
    UPSTREAM_EJECTIONS = Counter "ringgate_upstream_ejections" ["upstream"]
        "Endpoints taken out after failures in a row.";
    UPSTREAM_TLS = Counter "ringgate_upstream_tls_handshakes" ["upstream", "result"]
        "TLS handshakes with endpoints, by what came of them: full, resumed or failed.";
    UPSTREAM_IN_FLIGHT = Gauge "ringgate_upstream_requests_in_flight" ["upstream"]
        "Requests waiting for or streaming from an endpoint now, and connections of tcp listeners led there.";
    UPSTREAM_IDLE = Gauge "ringgate_upstream_connections_idle" ["upstream"]
        "Connections kept open for the next request.";
}

/// From request head received to response sent.
pub static ROUTE_DURATION: Family = Family {
    name: "ringgate_request_duration_seconds",
    help: "From request head received to response sent.",
    // 256 us to 16.8 s.
    kind: Kind::Histogram(Buckets { first: 8, last: 24 }),
    labels: &["route"],
};

/// The name of the route label where no route was taken.
pub const NO_ROUTE: &str = "-";

/// The cells of one listener.
#[derive(Debug, Clone, Copy)]
pub struct ListenerCounters {
    /// [`CONNECTIONS`].
    pub connections: CounterId,
    /// [`CONNECTIONS_OPEN`].
    pub connections_open: CounterId,
    /// [`CONNECTIONS_REFUSED`].
    pub connections_refused: CounterId,
    /// [`ACCEPT_PAUSES`].
    pub accept_pauses: CounterId,
    /// [`CONNECTIONS_OVER_TIME`].
    pub connections_over_time: CounterId,
    /// [`CONNECTIONS_IDLE`].
    pub connections_idle: CounterId,
    /// [`CONNECTIONS_USED_UP`].
    pub connections_used_up: CounterId,
    /// [`CONNECTIONS_BARRED`], closed.
    pub barred_by_deny: CounterId,
    /// [`CONNECTIONS_BARRED`], closed.
    pub barred_by_ban: CounterId,
    /// [`CONNECTIONS_BARRED`], served all the same.
    pub barred_in_shadow: CounterId,
    /// [`LISTENER_REQUESTS`].
    pub requests: CounterId,
}

impl ListenerCounters {
    /// The cells for the listener of this name.
    ///
    /// # Errors
    /// When every cell is taken.
    pub fn register(registry: &mut Registry, listener: &str) -> Result<Self, OutOfCells> {
        Ok(Self {
            connections: registry.cell(&CONNECTIONS, &[listener])?,
            connections_open: registry.cell(&CONNECTIONS_OPEN, &[listener])?,
            connections_refused: registry.cell(&CONNECTIONS_REFUSED, &[listener])?,
            accept_pauses: registry.cell(&ACCEPT_PAUSES, &[listener])?,
            connections_over_time: registry.cell(&CONNECTIONS_OVER_TIME, &[listener])?,
            connections_idle: registry.cell(&CONNECTIONS_IDLE, &[listener])?,
            connections_used_up: registry.cell(&CONNECTIONS_USED_UP, &[listener])?,
            barred_by_deny: registry.cell(&CONNECTIONS_BARRED, &[listener, "deny"])?,
            barred_by_ban: registry.cell(&CONNECTIONS_BARRED, &[listener, "ban"])?,
            barred_in_shadow: registry.cell(&CONNECTIONS_BARRED, &[listener, "shadow_ban"])?,
            requests: registry.cell(&LISTENER_REQUESTS, &[listener])?,
        })
    }
}

/// The cells of a tcp listener, beside those of every listener.
#[derive(Debug, Clone, Copy)]
pub struct TcpCounters {
    /// [`TCP_ENDED`].
    ended: [CounterId; TcpEnd::ALL.len()],
    /// [`TCP_RECEIVED`].
    pub received: CounterId,
    /// [`TCP_SENT`].
    pub sent: CounterId,
}

impl TcpCounters {
    /// The cells for the listener of this name.
    ///
    /// # Errors
    /// When every cell is taken.
    pub fn register(registry: &mut Registry, listener: &str) -> Result<Self, OutOfCells> {
        let mut cell = |end: TcpEnd| registry.cell(&TCP_ENDED, &[listener, end.label()]);
        let [closed, idle, failed, cut, refused] = TcpEnd::ALL;
        Ok(Self {
            ended: [cell(closed)?, cell(idle)?, cell(failed)?, cell(cut)?, cell(refused)?],
            received: registry.cell(&TCP_RECEIVED, &[listener])?,
            sent: registry.cell(&TCP_SENT, &[listener])?,
        })
    }

    /// The cell for a connection that ended like this.
    #[must_use]
    pub fn ended(&self, end: TcpEnd) -> CounterId {
        self.ended[end as usize]
    }
}

/// How a connection of a tcp listener ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpEnd {
    /// Both sides were done.
    Closed,
    /// Nothing moved for the idle time.
    Idle,
    /// One side failed or reset it.
    Failed,
    /// It was still open at the end of a drain.
    Cut,
    /// It was led nowhere.
    Refused,
}

impl TcpEnd {
    const ALL: [Self; 5] = [Self::Closed, Self::Idle, Self::Failed, Self::Cut, Self::Refused];

    /// The value of the `ended` label, and of the member of a log line.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::Failed => "failed",
            Self::Cut => "cut",
            Self::Refused => "refused",
        }
    }
}

/// The cells of one route, or of the requests that took none.
#[derive(Debug, Clone, Copy)]
pub struct RouteCounters {
    /// [`RESPONSES`] by class, 1xx (a 101) first.
    responses: [CounterId; 5],
    /// [`ROUTE_DURATION`].
    pub duration: Histogram,
    /// [`ROUTE_RECEIVED`].
    pub received: CounterId,
    /// [`ROUTE_SENT`].
    pub sent: CounterId,
}

impl RouteCounters {
    /// The cells for the route of this name, or [`NO_ROUTE`].
    ///
    /// # Errors
    /// When every cell is taken.
    pub fn register(registry: &mut Registry, route: &str) -> Result<Self, OutOfCells> {
        Ok(Self {
            responses: [
                registry.cell(&RESPONSES, &[route, "1xx"])?,
                registry.cell(&RESPONSES, &[route, "2xx"])?,
                registry.cell(&RESPONSES, &[route, "3xx"])?,
                registry.cell(&RESPONSES, &[route, "4xx"])?,
                registry.cell(&RESPONSES, &[route, "5xx"])?,
            ],
            duration: registry.histogram(&ROUTE_DURATION, &[route])?,
            received: registry.cell(&ROUTE_RECEIVED, &[route])?,
            sent: registry.cell(&ROUTE_SENT, &[route])?,
        })
    }

    /// The cell for a response with this status; a status is 100..=599.
    #[must_use]
    pub fn responses(&self, status: u16) -> CounterId {
        self.responses[usize::from(status / 100).clamp(1, 5) - 1]
    }
}

/// The cells of one provider of tokens.
#[derive(Debug, Clone, Copy)]
pub struct ProviderCounters {
    /// [`UNKNOWN_KIDS`].
    pub unknown_kids: CounterId,
}

impl ProviderCounters {
    /// The cells for the provider of this name.
    ///
    /// # Errors
    /// When every cell is taken.
    pub fn register(registry: &mut Registry, provider: &str) -> Result<Self, OutOfCells> {
        Ok(Self { unknown_kids: registry.cell(&UNKNOWN_KIDS, &[provider])? })
    }
}

/// The cells of one upstream.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamCounters {
    /// [`UPSTREAM_REQUESTS`].
    pub requests: CounterId,
    /// [`UPSTREAM_CONNECTS`].
    pub connects: CounterId,
    /// [`UPSTREAM_FAILURES`].
    pub failures: CounterId,
    /// [`UPSTREAM_RETRIES`].
    pub retries: CounterId,
    /// [`UPSTREAM_EJECTIONS`].
    pub ejections: CounterId,
    /// [`UPSTREAM_IN_FLIGHT`].
    pub in_flight: CounterId,
    /// [`UPSTREAM_IDLE`].
    pub idle: CounterId,
    /// [`UPSTREAM_TLS`].
    pub tls: UpstreamTlsCounters,
}

/// The cells of one upstream's handshakes.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamTlsCounters {
    /// From nothing.
    pub full: CounterId,
    /// By an earlier session.
    pub resumed: CounterId,
    /// To no end.
    pub failed: CounterId,
}

impl UpstreamCounters {
    /// The cells for the upstream of this name.
    ///
    /// # Errors
    /// When every cell is taken.
    pub fn register(registry: &mut Registry, upstream: &str) -> Result<Self, OutOfCells> {
        Ok(Self {
            requests: registry.cell(&UPSTREAM_REQUESTS, &[upstream])?,
            connects: registry.cell(&UPSTREAM_CONNECTS, &[upstream])?,
            failures: registry.cell(&UPSTREAM_FAILURES, &[upstream])?,
            retries: registry.cell(&UPSTREAM_RETRIES, &[upstream])?,
            ejections: registry.cell(&UPSTREAM_EJECTIONS, &[upstream])?,
            in_flight: registry.cell(&UPSTREAM_IN_FLIGHT, &[upstream])?,
            idle: registry.cell(&UPSTREAM_IDLE, &[upstream])?,
            tls: UpstreamTlsCounters {
                full: registry.cell(&UPSTREAM_TLS, &[upstream, "full"])?,
                resumed: registry.cell(&UPSTREAM_TLS, &[upstream, "resumed"])?,
                failed: registry.cell(&UPSTREAM_TLS, &[upstream, "failed"])?,
            },
        })
    }
}
