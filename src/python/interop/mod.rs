//! Between the two languages: arguments, errors, awaitables, blocking waits. Knows no Ray.

pub mod args;
pub mod awaitable;
pub mod blocking;
pub mod errors;
pub mod exit_guard;
pub mod reentry;
