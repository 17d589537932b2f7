//! One caller's wait for a flight.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::waiters::{Status, WaiterState};
use super::{Deadline, Flight, LANDING, Progress};
use crate::error::{ConnectError, Kind};

/// A seat in a flight. Dropping it gives the seat up; the last to leave calls the flight off.
#[must_use]
pub struct Waiter {
    flight: Arc<Flight>,
    seen: watch::Receiver<Progress>,
    id: u64,
    seat: WaiterState,
    came: Instant,
    /// When this caller had its answer, while the flight goes on for others.
    looked: Option<Instant>,
}

impl Waiter {
    pub(super) fn new(flight: &Arc<Flight>, id: u64, seat: WaiterState) -> Self {
        Self {
            flight: Arc::clone(flight),
            seen: flight.progress.subscribe(),
            id,
            seat,
            came: Instant::now(),
            looked: None,
        }
    }

    /// The flight waited for.
    pub const fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// Waits for the flight, no longer than this caller's patience; can be polled again after it
    /// was dropped half-way.
    pub async fn wait(&mut self) -> Result<(), ConnectError> {
        loop {
            let progress = self.seen.borrow_and_update().clone();
            let end = match &progress {
                Progress::Done(result) => return result.clone(),
                Progress::Probing { sweeps, last } => self.answer_due(*sweeps, last.as_ref()),
                Progress::Init { until } => self.init_due(*until),
            };
            if Instant::now() < end {
                // Whether it changed or the time is up, the loop looks again. An error would mean
                // that the flight is gone, which cannot be while we hold it.
                let _ = timeout_at(end, self.seen.changed()).await;
            } else if let Some(error) = self.out_of_patience(progress) {
                return Err(error);
            }
        }
    }

    /// Until when to wait for an answer.
    ///
    /// Whoever is the last to have patience waits for the flight itself to land: it gives up at
    /// the same moment, and what it says then is in the log already.
    fn answer_due(&mut self, sweeps: u32, last: Option<&ConnectError>) -> Instant {
        let has_look = sweeps > self.seat.sweeps;
        let settled = last.is_some_and(|cause| !self.seat.puts_up_with(cause.kind));
        let own = match self.seat.patience {
            Deadline::At(end) if !(has_look && settled) => end,
            // The look is under way, and it is bounded.
            Deadline::Once if !has_look => return self.seat.look_by + LANDING,
            _ => *self.looked.get_or_insert_with(Instant::now),
        };
        let crew = self.flight.crew();
        if crew.outlasts(self.id, own, kind_of(last)) {
            own
        } else {
            own + LANDING
        }
    }

    /// How long to wait for `ray.init`, which has a bound of its own. Who comes after that one
    /// has passed waits as long as it would have waited for an answer.
    fn init_due(&self, until: Instant) -> Instant {
        match self.seat.patience {
            Deadline::At(end) if self.came >= until => end,
            _ => until,
        }
    }

    /// None when there is news after all.
    fn out_of_patience(&self, progress: Progress) -> Option<ConnectError> {
        match progress {
            Progress::Probing { last, .. } => self.leave_early(last),
            _ => Some(self.give_up_init()),
        }
    }

    /// The flight has not said that it failed: it goes on for others, or is stuck.
    fn leave_early(&self, last: Option<ConnectError>) -> Option<ConnectError> {
        let mut crew = self.flight.crew();
        if !matches!(*self.flight.progress.borrow(), Progress::Probing { .. }) {
            return None;
        }
        let goes_on = crew.outlasts(self.id, Instant::now(), kind_of(last.as_ref()));
        // Once its status is sealed, the line has been written or is about to be.
        let is_news = crew.status == Status::Open && !(goes_on && crew.left_early);
        if goes_on {
            crew.left_early = true;
        } else if is_news {
            self.flight.cancel(&mut crew);
        }
        drop(crew);
        let error = last.unwrap_or_else(|| self.flight.unanswered());
        match (is_news, goes_on) {
            (true, true) => error!("{error} The connect goes on for another caller."),
            (true, false) => error!("{error}"),
            (false, _) => {}
        }
        Some(error)
    }

    fn give_up_init(&self) -> ConnectError {
        let error = self.flight.init_timed_out();
        if self.flight.abandon() {
            error!("{error}");
        }
        error
    }
}

/// Before the first answer, waiting makes sense.
fn kind_of(last: Option<&ConnectError>) -> Kind {
    last.map_or(Kind::Timeout, |cause| cause.kind)
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.flight.leave(self.id);
    }
}
