//! Snapshots of small configurations.
