//! The administration listener.
