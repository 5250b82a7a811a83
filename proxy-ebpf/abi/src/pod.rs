//! Leave for aya to copy the shared types to and from the kernel as bytes.
#![allow(unsafe_code, reason = "aya::Pod is an unsafe trait")]

use aya::Pod;

use crate::{lookup, shield, splice, steer};

// SAFETY: `repr(C)` of integers and arrays only, and its size is asserted to be the sum of its
// fields: no padding, and every pattern of bits is a value.
unsafe impl Pod for shield::Ban {}
// SAFETY: as above.
unsafe impl Pod for shield::Settings {}
// SAFETY: as above.
unsafe impl Pod for shield::Source {}
// SAFETY: as above.
unsafe impl Pod for shield::Target {}
// SAFETY: as above.
unsafe impl Pod for steer::Load {}
// SAFETY: as above.
unsafe impl Pod for lookup::Ports {}
// SAFETY: as above.
unsafe impl Pod for splice::Flow {}
