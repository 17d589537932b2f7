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

/// `pause` less up to a fifth of it.
pub fn shortened(pause: Duration, random: &mut fastrand::Rng) -> Duration {
    pause.mul_f64(1.0 - random.f64() / 5.0)
}

/// Before the first try to reconnect, at most.
const BACKOFF_BASE: Duration = Duration::from_millis(500);

/// Between two tries to reconnect, at most.
pub const BACKOFF_CAP: Duration = Duration::from_secs(5);

/// Pauses between tries to reconnect. Full jitter: thousands of services that lost the same head
/// come back spread out, and not in waves.
pub struct Backoff {
    window: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    /// Begins with the shortest pauses.
    pub const fn new(random: fastrand::Rng) -> Self {
        Self {
            window: BACKOFF_BASE,
            random,
        }
    }

    /// The next pause: anything up to a window that doubles until [`BACKOFF_CAP`].
    pub fn pause(&mut self) -> Duration {
        let pause = self.window.mul_f64(self.random.f64());
        self.window = (self.window * 2).min(BACKOFF_CAP);
        pause
    }
}
