//! One connection from a Python service to a Ray cluster, and it holds.
//!
//! The core is plain Rust and never sees a Python: `cargo test` runs without one. Only
//! [`python`] knows `PyO3`; arrows between the rooms point down.

pub mod address;
pub mod config;
pub mod error;
pub mod gateway;
pub mod probe;
pub mod target;

#[cfg(feature = "python")]
mod python;
