//! What follows from a row of looks. Pure: no clock, no lock, no socket.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{ConnectError, Kind};
use crate::retry;

/// A port that refuses is asked again this soon: whether it is closed for good shows at once.
const CONFIRM: Duration = Duration::from_millis(250);
/// That many refusals in a row are enough, whatever `misses` says.
const REFUSALS: u32 = 3;
/// Between two looks while something is wrong.
const CONCERNED: Duration = Duration::from_secs(2);

/// What one look saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// The control plane answers, and it is the one that we are connected to.
    Answered,
    /// It is there, but something of it does not work.
    Degraded(ConnectError),
    /// No answer.
    NoAnswer(ConnectError),
    /// What answers is another cluster, or does not know us any more.
    Replaced(ConnectError),
}

impl CheckResult {
    /// What was wrong.
    pub const fn cause(&self) -> Option<&ConnectError> {
        match self {
            Self::Answered => None,
            Self::Degraded(cause) | Self::NoAnswer(cause) | Self::Replaced(cause) => Some(cause),
        }
    }
}

/// What is news about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Too many looks in a row failed.
    Unhealthy(ConnectError),
    /// It answers again; nothing was lost.
    Recovered,
    /// It will not come back as the connection it was.
    Lost(ConnectError),
}

/// How often to look, and how long to hope.
#[derive(Clone, Copy, Debug)]
pub struct DetectorSettings {
    /// Between two looks while all is well.
    pub interval: Duration,
    /// Looks in a row without an answer that count.
    pub misses: u32,
    /// From the last answer until it counts as lost.
    pub grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Well,
    Unhealthy,
    Lost,
}

/// The state of one connection, as the looks show it.
pub struct FailureDetector {
    settings: DetectorSettings,
    condition: Condition,
    misses: u32,
    /// The last look was refused: worth a second one at once.
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
            condition: Condition::Well,
            misses: 0,
            was_refused: false,
            answered: true,
            last_answer: now,
            random,
        }
    }

    /// Whether the last look got an answer, be it a bad one.
    pub const fn answers(&self) -> bool {
        self.answered
    }

    /// When the control plane last answered.
    pub const fn last_answer(&self) -> Instant {
        self.last_answer
    }

    /// When hope ends if nothing answers.
    pub fn deadline(&self) -> Instant {
        self.last_answer + self.settings.grace
    }

    /// Takes note of a look that ended at `now`.
    pub fn saw(&mut self, sight: CheckResult, now: Instant) -> Option<Change> {
        self.was_refused = matches!(&sight, CheckResult::NoAnswer(cause) if is_refusal(cause.kind));
        self.answered = !matches!(sight, CheckResult::NoAnswer(_));
        match sight {
            CheckResult::Answered => {
                self.last_answer = now;
                self.misses = 0;
                self.turn(Condition::Well).then_some(Change::Recovered)
            }
            CheckResult::Degraded(cause) => {
                self.last_answer = now;
                self.missed(cause, now)
            }
            CheckResult::NoAnswer(cause) => self.missed(cause, now),
            CheckResult::Replaced(cause) => {
                self.turn(Condition::Lost).then_some(Change::Lost(cause))
            }
        }
    }

    fn missed(&mut self, cause: ConnectError, now: Instant) -> Option<Change> {
        self.misses = self.misses.saturating_add(1);
        match self.condition {
            Condition::Well if self.is_enough(cause.kind, now) => self
                .turn(Condition::Unhealthy)
                .then_some(Change::Unhealthy(cause)),
            Condition::Unhealthy if now >= self.deadline() => {
                self.turn(Condition::Lost).then_some(Change::Lost(cause))
            }
            _ => None,
        }
    }

    /// Long intervals must not use up all of the grace before anything is said.
    fn is_enough(&self, kind: Kind, now: Instant) -> bool {
        let needed = if is_refusal(kind) {
            self.settings.misses.min(REFUSALS)
        } else {
            self.settings.misses
        };
        self.misses >= needed || now >= self.last_answer + self.settings.grace / 2
    }

    /// Whether that is another condition than before.
    fn turn(&mut self, condition: Condition) -> bool {
        std::mem::replace(&mut self.condition, condition) != condition
    }

    /// When to look again after a look that began at `began` and ended at `now`.
    ///
    /// Jitter only shortens the time: many services that were started together do not look
    /// together, and nobody notices later than the interval allows.
    pub fn next_look(&mut self, began: Instant, now: Instant) -> Instant {
        if self.was_refused && self.condition == Condition::Well {
            return now + CONFIRM;
        }
        let pause = match self.condition {
            // Often enough to notice in time, whatever the interval; not in a mad rush.
            Condition::Well => self
                .settings
                .interval
                .min((self.settings.grace / 2).max(CONCERNED)),
            _ => self.settings.interval.min(CONCERNED),
        };
        let next = (began + retry::shortened(pause, &mut self.random)).max(now);
        if self.condition == Condition::Unhealthy && !self.answered {
            next.min(self.deadline().max(now))
        } else {
            next
        }
    }

    /// How long the next look may take: hope must not outlast its deadline.
    pub fn patience(&self, wanted: Duration, now: Instant) -> Duration {
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
