//! One worker a core.
