//! One caller's wait for a flight.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::waiters::{Status, WaiterState};
use super::{Deadline, FINISH_MARGIN, Flight, Progress};
use crate::error::{ConnectError, Kind};
use crate::log_target::CONNECT;

/// One caller's wait for a flight. Dropping it leaves the flight; the last to leave cancels it.
#[must_use]
pub struct Waiter {
    flight: Arc<Flight>,
    seen: watch::Receiver<Progress>,
    id: u64,
    state: WaiterState,
    came: Instant,
    /// When this caller had its answer while the flight went on for others.
    looked: Option<Instant>,
}

impl Waiter {
    pub(super) fn new(flight: &Arc<Flight>, id: u64, state: WaiterState) -> Self {
        Self {
            flight: Arc::clone(flight),
            seen: flight.progress.subscribe(),
            id,
            state,
            came: Instant::now(),
            looked: None,
        }
    }

    /// The flight waited for.
    pub const fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// Waits for the flight, but not past this caller's deadline. Cancel safe.
    ///
    /// # Errors
    ///
    /// The cause with which the flight ended, or its last one at the deadline.
    pub async fn wait(&mut self) -> Result<(), ConnectError> {
        loop {
            let progress = self.seen.borrow_and_update().clone();
            let end = match &progress {
                Progress::Done(result) => return result.clone(),
                Progress::Probing { sweeps, last } => self.answer_due(*sweeps, last.as_ref()),
                Progress::Init { until, .. } => self.init_due(*until),
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
    /// The waiter with the last deadline waits for the flight itself to finish: it gives up at the same
    /// moment, and has logged the cause then.
    fn answer_due(&mut self, sweeps: u32, last: Option<&ConnectError>) -> Instant {
        let has_look = sweeps > self.state.sweeps;
        let settled = last.is_some_and(|cause| !self.state.retries(cause.kind));
        let own = match self.state.patience.deadline {
            Deadline::At(end) if !(has_look && settled) => end,
            // The look is under way, and it is bounded.
            Deadline::Once if !has_look => return self.state.look_by + FINISH_MARGIN,
            _ => *self.looked.get_or_insert_with(Instant::now),
        };
        let waiters = self.flight.waiters();
        if waiters.outlasts(self.id, own, kind_of(last)) {
            own
        } else {
            own + FINISH_MARGIN
        }
    }

    /// Until when to wait for `ray.init`, which has a timeout of its own. A caller that joins after that
    /// has passed waits until its own deadline.
    fn init_due(&self, until: Instant) -> Instant {
        let until = match self.state.patience.deadline {
            Deadline::At(end) if self.came >= until => end,
            _ => until,
        };
        until.max(self.state.patience.init_until.unwrap_or(until))
    }

    /// The error of a waiter whose time is up; `None` when there is news after all.
    fn out_of_patience(&self, progress: Progress) -> Option<ConnectError> {
        match progress {
            Progress::Probing { last, .. } => self.leave_early(last),
            Progress::Init { began, .. } => Some(self.give_up_init(began)),
            Progress::Done(_) => None,
        }
    }

    /// The deadline of this waiter has passed while the flight goes on for others, or is stuck.
    fn leave_early(&self, last: Option<ConnectError>) -> Option<ConnectError> {
        let mut waiters = self.flight.waiters();
        if !matches!(*self.flight.progress.borrow(), Progress::Probing { .. }) {
            return None;
        }
        let goes_on = waiters.outlasts(self.id, Instant::now(), kind_of(last.as_ref()));
        // Otherwise the line has been logged or is about to be.
        let is_news = waiters.status == Status::Open && !(goes_on && waiters.left_early);
        if goes_on {
            waiters.left_early = true;
        } else if is_news {
            self.flight.mark_cancelled(&mut waiters);
        }
        drop(waiters);
        let error = last.unwrap_or_else(|| self.flight.unanswered());
        match (is_news, goes_on) {
            (true, true) => {
                error!(target: CONNECT, "{error} The connect goes on for another caller.");
            }
            (true, false) => error!(target: CONNECT, "{error}"),
            (false, _) => {}
        }
        Some(error)
    }

    fn give_up_init(&self, began: Instant) -> ConnectError {
        let error = self.flight.init_timed_out(began);
        if self.flight.abandon() {
            error!(target: CONNECT, "{error}");
        }
        error
    }
}

/// Before the first answer, waiting makes sense: as after a timeout.
fn kind_of(last: Option<&ConnectError>) -> Kind {
    last.map_or(Kind::Timeout, |cause| cause.kind)
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.flight.leave(self.id);
    }
}
