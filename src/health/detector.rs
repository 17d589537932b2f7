//! The failure detector: what follows from a series of checks. Pure: no clock, no lock, no socket.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{ConnectError, Kind};
use crate::retry;

/// A refused port is checked again after this long, to tell a closed port from a single refusal; so is
/// a broken connection.
const CONFIRM: Duration = Duration::from_millis(100);
/// Consecutive refusals that make a connection unhealthy, even where `misses` is larger; consecutive
/// proofs that it is broken which make it lost.
const CONFIRMED: u32 = 3;
/// The longest pause between two checks while something is wrong.
const ALERT_INTERVAL: Duration = Duration::from_secs(2);
/// As [`ALERT_INTERVAL`], while a port refuses, which costs nobody anything.
const REFUSED_INTERVAL: Duration = Duration::from_secs(1);

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// The control plane answered, and it is the one that this process is connected to.
    Answered,
    /// It answered, but part of it does not work.
    Degraded(ConnectError),
    /// It did not answer.
    NoAnswer(ConnectError),
    /// Something that the connection cannot do without has ended on this side of the control plane, and
    /// does not come back: the raylet of this node, the server process of a Ray Client.
    Broken(ConnectError),
    /// Another cluster answered, or the server does not know our session any more.
    Replaced(ConnectError),
}

impl CheckResult {
    /// The cause, unless the check succeeded.
    pub const fn cause(&self) -> Option<&ConnectError> {
        match self {
            Self::Answered => None,
            Self::Degraded(cause)
            | Self::NoAnswer(cause)
            | Self::Broken(cause)
            | Self::Replaced(cause) => Some(cause),
        }
    }
}

/// A change of a connection's condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Too many checks in a row failed.
    Unhealthy(ConnectError),
    /// It answers again; nothing was lost.
    Recovered,
    /// The connection cannot come back as it was.
    Lost(ConnectError),
}

/// How often to check, and for how long a silent cluster is waited for.
#[derive(Clone, Copy, Debug)]
pub struct DetectorSettings {
    /// Between two checks while the connection is healthy.
    pub interval: Duration,
    /// Consecutive checks without an answer that make a connection unhealthy.
    pub misses: u32,
    /// From the last answer until the connection counts as lost.
    pub grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Healthy,
    Unhealthy,
    Lost,
}

/// The condition of one connection, derived from its checks.
pub struct FailureDetector {
    settings: DetectorSettings,
    condition: Condition,
    misses: u32,
    /// Consecutive checks that found the connection broken.
    broken: u32,
    /// The last check was refused.
    was_refused: bool,
    answered: bool,
    last_answer: Instant,
    random: fastrand::Rng,
}

impl FailureDetector {
    /// A connection that has just been made.
    pub fn new(settings: DetectorSettings, now: Instant, random: fastrand::Rng) -> Self {
        Self {
            settings,
            condition: Condition::Healthy,
            misses: 0,
            broken: 0,
            was_refused: false,
            answered: true,
            last_answer: now,
            random,
        }
    }

    /// Whether the last check got an answer, good or bad.
    pub const fn answers(&self) -> bool {
        self.answered
    }

    /// Whether the last check found the connection broken.
    pub const fn is_broken(&self) -> bool {
        self.broken > 0
    }

    /// When the control plane last answered.
    pub const fn last_answer(&self) -> Instant {
        self.last_answer
    }

    /// When the connection counts as lost unless something answers before.
    pub fn deadline(&self) -> Instant {
        self.last_answer + self.settings.grace
    }

    /// Records a check that ended at `now`, and returns what that changes.
    pub fn record(&mut self, result: CheckResult, now: Instant) -> Option<Change> {
        self.was_refused = result.cause().is_some_and(|cause| is_refusal(cause.kind));
        self.broken = match result {
            CheckResult::Broken(_) => self.broken + 1,
            _ => 0,
        };
        self.answered = !matches!(result, CheckResult::NoAnswer(_));
        match result {
            CheckResult::Answered => {
                self.last_answer = now;
                self.misses = 0;
                self.turn(Condition::Healthy).then_some(Change::Recovered)
            }
            CheckResult::Degraded(cause) => {
                self.last_answer = now;
                self.missed(cause, now)
            }
            CheckResult::NoAnswer(cause) => self.missed(cause, now),
            CheckResult::Broken(cause) if self.broken >= CONFIRMED => {
                self.turn(Condition::Lost).then_some(Change::Lost(cause))
            }
            CheckResult::Broken(cause) => (self.condition == Condition::Healthy
                && self.turn(Condition::Unhealthy))
            .then_some(Change::Unhealthy(cause)),
            CheckResult::Replaced(cause) => {
                self.turn(Condition::Lost).then_some(Change::Lost(cause))
            }
        }
    }

    fn missed(&mut self, cause: ConnectError, now: Instant) -> Option<Change> {
        self.misses = self.misses.saturating_add(1);
        match self.condition {
            Condition::Healthy if self.is_enough(cause.kind, now) => self
                .turn(Condition::Unhealthy)
                .then_some(Change::Unhealthy(cause)),
            Condition::Unhealthy if now >= self.deadline() => {
                self.turn(Condition::Lost).then_some(Change::Lost(cause))
            }
            _ => None,
        }
    }

    /// A long interval must not use up all of the grace before the state changes.
    fn is_enough(&self, kind: Kind, now: Instant) -> bool {
        let needed = if is_refusal(kind) {
            self.settings.misses.min(CONFIRMED)
        } else {
            self.settings.misses
        };
        self.misses >= needed || now >= self.last_answer + self.settings.grace / 2
    }

    /// Sets the condition; true when it differs from the one before.
    fn turn(&mut self, condition: Condition) -> bool {
        std::mem::replace(&mut self.condition, condition) != condition
    }

    /// When the next check is due, after one that began at `began` and ended at `now`.
    ///
    /// Jitter only shortens the pause: services that were started together do not check together,
    /// and no loss is noticed later than the interval allows.
    pub fn next_check(&mut self, began: Instant, now: Instant) -> Instant {
        let is_unconfirmed = match self.condition {
            Condition::Healthy => self.was_refused,
            Condition::Unhealthy => self.broken > 0,
            Condition::Lost => false,
        };
        if is_unconfirmed {
            return now + CONFIRM;
        }
        let pause = match self.condition {
            // However long the interval: often enough to notice within the grace.
            Condition::Healthy => self
                .settings
                .interval
                .min((self.settings.grace / 2).max(ALERT_INTERVAL)),
            _ if self.was_refused => self.settings.interval.min(REFUSED_INTERVAL),
            _ => self.settings.interval.min(ALERT_INTERVAL),
        };
        let next = (began + retry::shortened(pause, &mut self.random)).max(now);
        if self.condition == Condition::Unhealthy && !self.answered {
            next.min(self.deadline().max(now))
        } else {
            next
        }
    }

    /// The timeout of the next check: `wanted`, but not past [`FailureDetector::deadline`].
    pub fn check_timeout(&self, wanted: Duration, now: Instant) -> Duration {
        if self.condition != Condition::Unhealthy {
            return wanted;
        }
        let left = self.deadline().saturating_duration_since(now);
        wanted.min(left.max(CONFIRM))
    }
}

const fn is_refusal(kind: Kind) -> bool {
    matches!(kind, Kind::Refused | Kind::Unreachable)
}
