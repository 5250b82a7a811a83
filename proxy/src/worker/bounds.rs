//! What bounds the heads and bodies of a request and its response, of what its listener and its route
//! say.

use crate::http1::{ChunkLimits, HeadLimits};
use crate::snapshot::limits::{Limits, ListenerBounds, RouteBounds, Timeouts};

/// What bounds the heads of a listener's requests.
#[must_use]
pub fn request_limits(bounds: &ListenerBounds) -> HeadLimits {
    HeadLimits {
        head_bytes: bounds.head_bytes,
        head_fields: bounds.head_fields,
        target_bytes: bounds.target_bytes,
    }
}

/// What bounds the chunks of a body, either way.
pub(super) fn chunk_limits(limits: &Limits, bounds: &RouteBounds) -> ChunkLimits {
    ChunkLimits { overhead_bytes: bounds.chunk_overhead_bytes, trailers: head_limits(limits) }
}

/// What bounds the heads of responses, and trailers.
pub(super) fn head_limits(limits: &Limits) -> HeadLimits {
    HeadLimits {
        head_bytes: limits.head_bytes,
        head_fields: limits.head_fields,
        target_bytes: limits.target_bytes,
    }
}

/// What bounds a request without a route.
pub(super) fn unrouted(timeouts: &Timeouts) -> RouteBounds {
    RouteBounds {
        request_body_bytes: 0,
        chunk_overhead_bytes: 0,
        response: timeouts.response,
        body_progress: timeouts.body_progress,
        body_rate: None,
    }
}
