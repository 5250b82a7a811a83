//! Start and drain, in order.
