//! Circuit breaker: after a connect has used up its timeout, calls for the same target fail at once
//! for a while.
//!
//! ```text
//!           opened                 time is up, one caller            succeeded
//! closed ───────────► open ──────────────────────────────► half-open ─────────► closed
//!                      ▲                                       │ opened, for twice as long;
//!                      └───────────────────────────────────────┘ or never reported
//! ```
//!
//! Pure: no clock, no lock, no thread. The caller passes the time, and randomness is seeded.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{ConnectError, Kind};

/// The longest time that a circuit stays open.
pub const CAP: Duration = Duration::from_secs(60);

/// How long the caller that probes a half-open circuit has to report, before another one may probe
/// (it may be gone: Ctrl-C, a dead thread). At least as long as the circuit was open, and longer than
/// a sweep with default settings.
const LEASE: Duration = Duration::from_secs(5);

/// Maximum number of circuits, more than a service has targets. Beyond it, the circuit that would
/// become half-open first is dropped.
const TARGETS: usize = 64;

/// The state of all circuits together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Position {
    /// All circuits are closed.
    Closed,
    /// At least one circuit is half-open: a caller probes, or the next one will. None is open.
    HalfOpen,
    /// At least one circuit is open.
    Open,
}

impl Position {
    /// `closed`, `half_open` or `open`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What a caller has to do next.
#[derive(Clone, Debug)]
#[must_use]
pub enum Admission {
    /// Connect: there is no recent failure.
    Closed,
    /// Make one sweep on behalf of all callers, then report it: [`Breaker::opened`],
    /// [`Breaker::succeeded`] or [`Breaker::released`].
    HalfOpen,
    /// Do not try.
    Open {
        /// After how long another call makes sense; above zero, at most [`CAP`].
        retry_after: Duration,
        /// The cause of the last failure.
        cause: Arc<ConnectError>,
    },
}

struct Circuit {
    cause: Arc<ConnectError>,
    /// The open time before jitter; doubles with each failure.
    window: Duration,
    /// When a caller may probe; while one does, when its lease ends.
    until: Instant,
    /// How long the circuit was last open.
    period: Duration,
    is_probed: bool,
}

impl Circuit {
    fn wait(&mut self, now: Instant, period: Duration) {
        self.until = now.checked_add(period).unwrap_or(now);
        self.period = period;
        self.is_probed = false;
    }
}

/// Circuits by target.
pub struct Breaker<K> {
    circuits: HashMap<K, Circuit>,
    random: fastrand::Rng,
}

impl<K: Eq + Hash + Clone> Default for Breaker<K> {
    fn default() -> Self {
        Self::new(fastrand::Rng::new())
    }
}

impl<K: Eq + Hash + Clone> Breaker<K> {
    /// Makes a breaker whose circuits are all closed.
    pub fn new(random: fastrand::Rng) -> Self {
        Self {
            circuits: HashMap::new(),
            random,
        }
    }

    /// Decides whether `key` may be connected to. One look-up, no allocation.
    pub fn check(&mut self, key: &K, now: Instant) -> Admission {
        let Some(circuit) = self.circuits.get_mut(key) else {
            return Admission::Closed;
        };
        let retry_after = circuit.until.saturating_duration_since(now);
        if !retry_after.is_zero() {
            return Admission::Open {
                retry_after,
                cause: Arc::clone(&circuit.cause),
            };
        }
        circuit.is_probed = true;
        let lease = circuit.period.max(LEASE);
        circuit.until = now.checked_add(lease).unwrap_or(now);
        Admission::HalfOpen
    }

    /// For how long and why callers of `key` are rejected, if they are. Unlike [`Breaker::check`], it
    /// changes nothing.
    pub fn rejection(&self, key: &K, now: Instant) -> Option<(Duration, Arc<ConnectError>)> {
        let circuit = self.circuits.get(key)?;
        let left = circuit.until.saturating_duration_since(now);
        (!left.is_zero()).then(|| (left, Arc::clone(&circuit.cause)))
    }

    /// The state of all circuits together. Unlike [`Breaker::check`], it changes nothing.
    pub fn position(&self, now: Instant) -> Position {
        let is_open = |circuit: &Circuit| now < circuit.until && !circuit.is_probed;
        if self.circuits.is_empty() {
            Position::Closed
        } else if self.circuits.values().any(is_open) {
            Position::Open
        } else {
            Position::HalfOpen
        }
    }

    /// Opens the circuit: a connect used up its timeout, or the sweep of a half-open circuit failed.
    /// `reset` is how long it opens at first; zero switches the breaker off.
    ///
    /// Each further failure doubles that time up to [`CAP`]. Equal jitter: half of the time is fixed
    /// and half is random, so that services do not come back all at once. Callers that shared one
    /// connect report the same failure, of which only the first report counts.
    pub fn opened(&mut self, key: &K, cause: ConnectError, reset: Duration, now: Instant) {
        if reset.is_zero() {
            self.circuits.remove(key);
            return;
        }
        let cause = Arc::new(cause);
        let Some(circuit) = self.circuits.get_mut(key) else {
            return self.open(key, cause, reset.min(CAP), now);
        };
        circuit.cause = cause;
        let is_news = circuit.is_probed || now >= circuit.until;
        if is_news {
            circuit.window = circuit.window.saturating_mul(2).min(CAP);
            let period = jittered(circuit.window, &mut self.random);
            circuit.wait(now, period);
        }
    }

    fn open(&mut self, key: &K, cause: Arc<ConnectError>, window: Duration, now: Instant) {
        if self.circuits.len() >= TARGETS {
            self.forget_one();
        }
        let mut circuit = Circuit {
            cause,
            window,
            until: now,
            period: Duration::ZERO,
            is_probed: false,
        };
        circuit.wait(now, jittered(window, &mut self.random));
        self.circuits.insert(key.clone(), circuit);
    }

    fn forget_one(&mut self) {
        let first = self.circuits.iter().min_by_key(|(_, c)| c.until);
        if let Some(key) = first.map(|(key, _)| key.clone()) {
            self.circuits.remove(&key);
        }
    }

    /// Closes the circuit and resets its open time: connected, or failed in a way that time does not
    /// cure.
    pub fn succeeded(&mut self, key: &K) {
        self.circuits.remove(key);
    }

    /// Lets the next caller probe at once, because the one that was to probe did not. Without this
    /// call, the next one may when the lease of the probe ends.
    pub fn released(&mut self, key: &K, now: Instant) {
        if let Some(circuit) = self.circuits.get_mut(key)
            && circuit.is_probed
        {
            circuit.is_probed = false;
            circuit.until = now;
        }
    }
}

/// Between half of `window` and all of it; never zero.
fn jittered(window: Duration, random: &mut fastrand::Rng) -> Duration {
    let half = window / 2;
    (half + half.mul_f64(random.f64())).max(Duration::from_nanos(1))
}

/// The error for a caller that the breaker rejects: the last cause, and when to try again.
pub fn circuit_open(cause: &ConnectError, retry_after: Duration) -> ConnectError {
    let mut error = ConnectError::new(
        Kind::CircuitOpen,
        &cause.address,
        format!(
            "Not connecting to {} for another {:.1} s, because the last try failed: {}",
            cause.address,
            retry_after.as_secs_f64(),
            cause.message,
        ),
        format!(
            "{} SEEDCORE_RAY_BREAKER_RESET_S shortens the pause, 0 switches it off.",
            cause.hint,
        ),
    );
    error.attempts = cause.attempts;
    error.retry_after = Some(retry_after);
    error
}
