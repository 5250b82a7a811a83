//! The operation layer on io_uring.
