//! Token verification, sans-io.
