//! Logger names. Each event names its area, so that a logger does not change when a file moves, and
//! the same failure has the same logger whichever way it came.

/// Connects: made, shared, retried, refused, failed; and `shutdown_ray`.
pub const CONNECT: &str = "seedcore_ray.connect";
/// The connection after it was made: unhealthy, recovered, lost, released, reconnecting.
pub const MONITOR: &str = "seedcore_ray.monitor";
/// Each step of a probe, at DEBUG.
pub const PROBE: &str = "seedcore_ray.probe";
/// Lazy values.
pub const LAZY: &str = "seedcore_ray.lazy";
/// Settings that cannot be used.
pub const CONFIG: &str = "seedcore_ray.config";
