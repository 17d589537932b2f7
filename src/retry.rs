//! Pauses between the tries of a connect.

use std::time::Duration;

use crate::error::Kind;
use crate::probe::Timeouts;

/// Pause between two bare TCP connects to a port that refuses.
const POKE: Duration = Duration::from_millis(250);

/// Pause between two full sweeps when the name does not resolve: resolvers are shared and slow.
const RESOLVE: Duration = Duration::from_secs(1);

/// While a port refuses, the longest time between two full sweeps: the name may have moved to another
/// address, and a fallback may have come up.
pub const RESWEEP: Duration = Duration::from_secs(2);

/// How long to pause after a failure of `kind` before the next try.
///
/// Short, because a caller waits. The try itself must be cheap ([`poke_first`]).
pub const fn pause(kind: Kind) -> Duration {
    match kind {
        Kind::Dns => RESOLVE,
        _ => POKE,
    }
}

/// Whether a bare TCP connect is enough before the next full sweep, which speaks gRPC once the port
/// accepts. Ray's client proxy forks a server for each client, and gRPC traffic at that instant can
/// make the fork fail (docs/ray-internals.md, Probes).
pub const fn poke_first(kind: Kind) -> bool {
    matches!(kind, Kind::Refused | Kind::Unreachable)
}

/// The factor by which the timeout of the replies grows after each probe that timed out.
const PATIENCE: u32 = 3;

/// The timeouts of a probe after `silent` probes in a row that timed out: a server that answers late
/// is given more time, one that cannot be reached is not.
pub fn timeouts(probe_timeout: Duration, silent: u32) -> Timeouts {
    let factor = PATIENCE.saturating_pow(silent);
    Timeouts {
        open: probe_timeout,
        answer: probe_timeout.saturating_mul(factor),
    }
}

/// `pause`, shortened by up to a fifth at random.
pub fn shortened(pause: Duration, random: &mut fastrand::Rng) -> Duration {
    pause.mul_f64(1.0 - random.f64() / 5.0)
}

/// Longest pause before the first try to reconnect.
const BACKOFF_BASE: Duration = Duration::from_millis(500);

/// Longest pause between two tries to reconnect.
pub const BACKOFF_CAP: Duration = Duration::from_secs(5);

/// Pauses between tries to reconnect, with full jitter: services that lost the same head come back
/// spread out and not in waves.
pub struct Backoff {
    window: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    /// Starts with the shortest pauses.
    pub const fn new(random: fastrand::Rng) -> Self {
        Self {
            window: BACKOFF_BASE,
            random,
        }
    }

    /// The next pause: random, up to a window that doubles until [`BACKOFF_CAP`].
    pub fn pause(&mut self) -> Duration {
        let pause = self.window.mul_f64(self.random.f64());
        self.window = (self.window * 2).min(BACKOFF_CAP);
        pause
    }
}
