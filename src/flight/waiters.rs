//! Who waits for a flight and for how long, and what follows from that. Plain data without a lock
//! or a clock of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{Deadline, LastProbe};
use crate::error::Kind;
use crate::retry;

/// One caller's claim on a flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaiterState {
    pub patience: Deadline,
    /// Waits for a local Ray too.
    pub wait_for_local: bool,
    /// Sweeps that were finished before this caller came.
    pub sweeps: u32,
    /// The last moment at which this caller waits for the sweep under way.
    pub look_by: Instant,
}

impl WaiterState {
    /// Whether this caller wants another try after a failure of `kind`.
    pub fn puts_up_with(&self, kind: Kind) -> bool {
        let local = matches!(kind, Kind::NoLocalRay | Kind::StaleLocalRay);
        kind.is_transient() || (local && self.wait_for_local)
    }

    fn retries_until(&self, kind: Kind) -> Option<Instant> {
        match self.patience {
            Deadline::At(end) if self.puts_up_with(kind) => Some(end),
            _ => None,
        }
    }

    fn awaits_look(&self, sweeps: u32) -> bool {
        self.patience == Deadline::Once && self.sweeps == sweeps
    }
}

/// Whether a flight can still be joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Status {
    #[default]
    Open,
    /// It has failed, and is about to say so.
    GivingUp,
    /// By a shutdown, the exit, or because nobody waits: what it connects is unwanted.
    CalledOff,
}

#[derive(Debug, Default)]
pub(super) struct Waiters {
    seats: BTreeMap<u64, WaiterState>,
    next_id: u64,
    pub status: Status,
    /// Sweeps finished so far.
    pub sweeps: u32,
    /// A caller with less patience than others was told, and that was reported.
    pub left_early: bool,
    pub last_probe: Option<LastProbe>,
    fallbacks_at: Option<Instant>,
}

impl Waiters {
    pub fn join(&mut self, seat: WaiterState) -> u64 {
        self.next_id += 1;
        self.seats.insert(self.next_id, seat);
        self.next_id
    }

    /// True when nobody is left.
    pub fn leave(&mut self, id: u64) -> bool {
        self.seats.remove(&id);
        self.seats.is_empty()
    }

    /// How long somebody still wants other sweeps after a failure of `kind`.
    pub fn time_left(&self, kind: Kind, now: Instant) -> Option<Duration> {
        let until = self.seats.values().filter_map(|s| s.retries_until(kind));
        let left = until.max()?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Whether somebody came after the last sweep who wants one look of their own.
    pub fn is_look_wanted(&self) -> bool {
        self.seats
            .values()
            .any(|seat| seat.awaits_look(self.sweeps))
    }

    /// Whether there is somebody to sweep again for. If not, nobody can join any more, so that
    /// a newcomer with all its patience does not get an old answer.
    pub fn goes_on(&mut self, kind: Kind, now: Instant) -> bool {
        let goes_on = self.is_look_wanted() || self.time_left(kind, now).is_some();
        if !goes_on && self.status == Status::Open {
            self.status = Status::GivingUp;
        }
        goes_on
    }

    /// Whether others keep the flight going after `end`, when caller `id` leaves.
    pub fn outlasts(&self, id: u64, end: Instant, kind: Kind) -> bool {
        let mut others = self.seats.iter().filter(|&(&other, _)| other != id);
        others.any(|(_, seat)| {
            seat.awaits_look(self.sweeps) || seat.retries_until(kind).is_some_and(|at| at > end)
        })
    }

    /// How long the next sweep may take, so that nobody waits longer than they would.
    pub fn sweep_bound(&self, now: Instant) -> Duration {
        let until = self.seats.values().map(|seat| seat.look_by).max();
        until.map_or(Duration::ZERO, |end| end.saturating_duration_since(now))
    }

    /// Whether this sweep may try the fallbacks. They are other people's servers: not at the
    /// pace of a poked port.
    pub fn takes_fallbacks(&mut self, now: Instant) -> bool {
        let due = self
            .fallbacks_at
            .is_none_or(|at| now.saturating_duration_since(at) >= retry::RESWEEP);
        if due {
            self.fallbacks_at = Some(now);
        }
        due
    }
}
