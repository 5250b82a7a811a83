//! Key sets: fetched, parsed, scheduled.
