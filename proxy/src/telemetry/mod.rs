//! What the gateway tells about itself: counters that cost a store, log lines that cost a copy.

pub mod access_log;
pub mod counters;
pub mod histogram;
pub mod labels;
pub mod logging;
