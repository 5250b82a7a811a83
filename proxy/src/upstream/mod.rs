//! Connections to upstream endpoints.
