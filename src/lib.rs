//! One connection from a Python service to a Ray cluster, and it holds.
//!
//! The core is plain Rust: `cargo test` runs without a Python. Only `src/python/` knows `PyO3`, and
//! imports point down only (ARCHITECTURE.md).

pub mod address;
pub mod breaker;
pub mod config;
pub mod connect;
pub mod doctor;
pub mod error;
pub mod events;
pub mod exposition;
pub mod flight;
pub mod gateway;
pub mod guard;
pub mod health;
pub mod lazy;
pub mod log_queue;
pub mod log_target;
pub mod metrics;
pub mod monitor;
pub mod platform;
pub mod pool;
pub mod preflight;
pub mod probe;
pub mod process;
pub mod retry;
pub mod runtime;
pub mod session;
pub mod target;

#[cfg(feature = "python")]
mod python;
