//! When not to try: after a connect has used up its timeout, calls for the same target are
//! answered at once for a while.
//!
//! ```text
//!           opened                 time is up, one caller            succeeded
//! closed ───────────► open ──────────────────────────────► half-open ─────────► closed
//!                      ▲                                       │ opened, for twice as long;
//!                      └───────────────────────────────────────┘ or never heard of again
//! ```
//!
//! Pure: no clock, no lock, no thread. The caller brings the time, and randomness has a seed.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{ConnectError, Kind};

/// The longest that a circuit stays open before somebody may probe again.
pub const CAP: Duration = Duration::from_secs(60);

/// A caller who probes and was not heard of for that long has vanished (Ctrl-C, a dead thread);
/// for a circuit that was open longer, that time counts. Longer than a sweep by default settings.
const LEASE: Duration = Duration::from_secs(5);

/// Targets that are remembered. More than a service has; when there are more, the one that would
/// be tried again first is forgotten.
const TARGETS: usize = 64;

/// How all circuits stand, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::VariantArray)]
pub enum Position {
    /// None is anything else.
    Closed,
    /// The time of at least one is up: a caller probes, or the next one will. None is open.
    HalfOpen,
    /// The time of at least one is not up.
    Open,
}

impl Position {
    /// `closed`, `half_open` or `open`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// What a caller does next.
#[derive(Clone, Debug)]
#[must_use]
pub enum Admission {
    /// Nothing is known against it: connect.
    Closed,
    /// Make one sweep on behalf of all, then report it: [`Breaker::opened`],
    /// [`Breaker::succeeded`] or [`Breaker::released`].
    HalfOpen,
    /// Do not even try.
    Open {
        /// When asking again makes sense; above zero, at most [`CAP`].
        retry_after: Duration,
        /// What the last connect died of.
        cause: Arc<ConnectError>,
    },
}

struct Circuit {
    cause: Arc<ConnectError>,
    /// What the jittered time was taken from; doubles with each failure.
    window: Duration,
    /// From `until` on, somebody may probe. While somebody does: when they will have vanished.
    until: Instant,
    /// How long it was open before that.
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
    /// A breaker with every circuit closed.
    pub fn new(random: fastrand::Rng) -> Self {
        Self {
            circuits: HashMap::new(),
            random,
        }
    }

    /// May `key` be connected to? One look-up; allocates nothing.
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

    /// How the circuits stand. Unlike [`Breaker::check`], a look without consequences.
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

    /// A connect used up its time, or the one sweep of a half-open circuit failed. `reset` is how
    /// long the circuit opens at first; zero switches the breaker off.
    ///
    /// Each further failure doubles that time up to [`CAP`]. Equal jitter: half of it is certain,
    /// the other half random, so that services do not come back all at once. Callers who shared
    /// one connect report the same failure: only the first of them counts.
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

    /// Connected, or answered in a way that is no reason to wait: closes the circuit and forgets
    /// how often it was open.
    pub fn succeeded(&mut self, key: &K) {
        self.circuits.remove(key);
    }

    /// Whoever was to probe has not: the next caller may. Without this, one may when the probe
    /// has been out for as long as the circuit was open before (5 s at least).
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

/// For a caller who is turned away: the last cause inside, and when to come back.
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
