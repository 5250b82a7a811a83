//! Precedence, by example and against a slow obvious version.
