//! The waiters of a flight and their deadlines. Plain data, without a lock or a clock of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{Deadline, LastProbe};
use crate::error::Kind;
use crate::preflight::ProbePlan;
use crate::probe::Timeouts;
use crate::retry;

/// How long, and for what, one caller waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until when to wait for an answer.
    pub deadline: Deadline,
    /// Until when to wait for `ray.init` at least, whatever its own timeout is.
    pub init_until: Option<Instant>,
    /// Retry the causes of `auto` and of a missing node too, which otherwise fail at once.
    pub wait_for_local: bool,
}

impl Patience {
    /// Waits for an answer as long as `timeout`; zero is one sweep.
    pub fn of(timeout: Duration) -> Self {
        Self {
            deadline: Deadline::of(timeout),
            init_until: None,
            wait_for_local: false,
        }
    }
}

/// One caller that waits for a flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaiterState {
    pub patience: Patience,
    /// Sweeps that were finished before this caller joined.
    pub sweeps: u32,
    /// Until when this caller waits for the sweep under way.
    pub look_by: Instant,
}

impl WaiterState {
    /// Whether this caller wants another try after a failure of `kind`.
    pub fn retries(&self, kind: Kind) -> bool {
        let local = matches!(
            kind,
            Kind::NoLocalRay | Kind::StaleLocalRay | Kind::NoLocalNode
        );
        kind.is_transient() || (local && self.patience.wait_for_local)
    }

    fn retries_until(&self, kind: Kind) -> Option<Instant> {
        match self.patience.deadline {
            Deadline::At(end) if self.retries(kind) => Some(end),
            _ => None,
        }
    }

    fn awaits_look(&self, sweeps: u32) -> bool {
        self.patience.deadline == Deadline::Once && self.sweeps == sweeps
    }
}

/// Whether a flight can still be joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Status {
    #[default]
    Open,
    /// It has failed, and is about to report it.
    GivingUp,
    /// By a shutdown, the exit, or the last waiter leaving: what it connects is unwanted.
    Cancelled,
}

#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_id: BTreeMap<u64, WaiterState>,
    next_id: u64,
    pub status: Status,
    /// Sweeps finished so far.
    pub sweeps: u32,
    /// Sweeps in a row that timed out.
    silent: u32,
    /// A waiter whose deadline came before those of others was told, and that was logged.
    pub left_early: bool,
    pub last_probe: Option<LastProbe>,
    fallbacks_at: Option<Instant>,
}

impl Waiters {
    pub fn join(&mut self, waiter: WaiterState) -> u64 {
        self.next_id += 1;
        self.by_id.insert(self.next_id, waiter);
        self.next_id
    }

    /// True when no waiter is left.
    pub fn leave(&mut self, id: u64) -> bool {
        self.by_id.remove(&id);
        self.by_id.is_empty()
    }

    /// How long a waiter still wants further sweeps after a failure of `kind`.
    pub fn time_left(&self, kind: Kind, now: Instant) -> Option<Duration> {
        let until = self.by_id.values().filter_map(|s| s.retries_until(kind));
        let left = until.max()?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Whether a waiter joined after the last sweep and wants one of its own.
    pub fn is_look_wanted(&self) -> bool {
        self.by_id
            .values()
            .any(|waiter| waiter.awaits_look(self.sweeps))
    }

    /// Whether a waiter wants another sweep. If not, the flight can no longer be joined, so that a new
    /// caller with all of its time left does not get an old answer.
    pub fn goes_on(&mut self, kind: Kind, now: Instant) -> bool {
        let goes_on = self.is_look_wanted() || self.time_left(kind, now).is_some();
        if !goes_on && self.status == Status::Open {
            self.status = Status::GivingUp;
        }
        goes_on
    }

    /// Whether others keep the flight going after `end`, when caller `id` leaves.
    pub fn outlasts(&self, id: u64, end: Instant, kind: Kind) -> bool {
        let mut others = self.by_id.iter().filter(|&(&other, _)| other != id);
        others.any(|(_, waiter)| {
            waiter.awaits_look(self.sweeps) || waiter.retries_until(kind).is_some_and(|at| at > end)
        })
    }

    /// Until when the waiters want `ray.init` to go on, where one of them has said so.
    pub fn init_until(&self) -> Option<Instant> {
        let waiters = self.by_id.values();
        waiters
            .filter_map(|waiter| waiter.patience.init_until)
            .max()
    }

    /// Counts a failed sweep, and returns how many have ended.
    pub fn count_failure(&mut self, kind: Kind) -> u32 {
        self.sweeps += 1;
        self.silent = match kind {
            Kind::Timeout => self.silent + 1,
            _ => 0,
        };
        self.sweeps
    }

    /// The timeouts of each probe of the next sweep, and whether it may try the fallbacks. These are
    /// probed after the address itself, so the time until the last waiter's deadline is shared.
    pub fn plan_sweep(&mut self, probe_plan: &ProbePlan) -> (Timeouts, bool) {
        let now = Instant::now();
        let due = self.takes_fallbacks(now);
        let rounds = if due { probe_plan.rounds() } else { 1 };
        let until = self.by_id.values().map(|waiter| waiter.look_by).max();
        let left = until.map_or(Duration::ZERO, |end| end.saturating_duration_since(now)) / rounds;
        let wanted = retry::timeouts(probe_plan.probe_timeout, self.silent);
        (wanted.within(left), due)
    }

    /// Whether this sweep may try the fallbacks. They are other servers, so they are not probed at the
    /// pace at which a refusing port is.
    fn takes_fallbacks(&mut self, now: Instant) -> bool {
        let due = self
            .fallbacks_at
            .is_none_or(|at| now.saturating_duration_since(at) >= retry::RESWEEP);
        if due {
            self.fallbacks_at = Some(now);
        }
        due
    }
}
