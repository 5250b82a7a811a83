//! HTTP/1.1 messages, sans-io (RFC 9112).
