//! When to try again.

use std::time::Duration;

use crate::error::Kind;

/// Between two bare TCP connects to a port that refuses.
const POKE: Duration = Duration::from_millis(250);

/// Between two full sweeps when the name does not resolve: resolvers are shared, and slow.
const RESOLVE: Duration = Duration::from_secs(1);

/// A refused port is poked, but a full sweep is due at least this often: the name may have moved
/// to another address, and a fallback may have come up.
pub const RESWEEP: Duration = Duration::from_secs(2);

/// How long to pause after a failure of `kind` before looking again.
///
/// Short, because a caller waits; it is the looking that must be cheap ([`poke_first`]).
pub const fn pause(kind: Kind) -> Duration {
    match kind {
        Kind::Dns => RESOLVE,
        _ => POKE,
    }
}

/// Whether a bare TCP connect tells enough before the next full sweep. gRPC is spoken only once
/// the port accepts: the client proxy forks a server for each client, and gRPC traffic at that
/// instant can make the fork fail (ray-facts).
pub const fn poke_first(kind: Kind) -> bool {
    matches!(kind, Kind::Refused | Kind::Unreachable)
}
