//! How a connection is made: a flight from the first waiter to its end, or by somebody else.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Arrival, Connection, Inner, Joined, Locked, Owner, Session, Turn, log_lines};
use crate::error::{ConnectError, Kind};
use crate::events::What;
use crate::flight::{Flight, Patience, Waiter};
use crate::health::Watch;
use crate::target::Target;

impl Session {
    /// Asks for a connection to `target`: shares the flight under way, or leads the one that
    /// `flight` makes. `flight` is called only when no flight can be shared without one.
    pub fn join(
        &self,
        target: &Target,
        force: bool,
        patience: Patience,
        flight: impl FnOnce() -> Arc<Flight>,
    ) -> Joined {
        // A forced connect may have to wait for another one instead of sharing it.
        if !force && let Some(waiter) = self.share(target, patience) {
            return Joined::Wait(waiter);
        }
        self.lead(&flight(), patience)
    }

    fn share(&self, target: &Target, patience: Patience) -> Option<Waiter> {
        let inner = self.inner();
        match (&inner.owner, &inner.connection) {
            (Some(Owner::Connect(current)), None) if current.probe_plan.target == *target => {
                current.join(patience)
            }
            _ => None,
        }
    }

    fn lead(&self, flight: &Arc<Flight>, patience: Patience) -> Joined {
        let mut inner = self.inner();
        // Under the lock, so that no flight begins after `exit` has looked for one.
        if let Some(error) = self.refusal(&flight.address()) {
            return Joined::Refused(error);
        }
        match (&inner.owner, &inner.connection) {
            (Some(Owner::Shutdown(over)), _) => Joined::After(Turn::Shutdown(over.subscribe())),
            (_, Some(_)) if !flight.options.force => Joined::Connected,
            (Some(Owner::Connect(current)), _) => join_current(current, flight, patience, &inner),
            (None, _) => match flight.join(patience) {
                Some(waiter) => {
                    inner.owner = Some(Owner::Connect(Arc::clone(flight)));
                    Joined::Lead(waiter)
                }
                None => Joined::Refused(flight.cancelled()),
            },
        }
    }

    /// The preflight has passed and `ray.init` is next. False when the flight was cancelled.
    #[must_use]
    pub fn begin_init(&self, flight: &Arc<Flight>) -> bool {
        let inner = self.inner();
        let begun = owns(&inner, flight) && flight.begin_init();
        if begun {
            self.initialising.store(true, Ordering::Release);
        }
        begun
    }

    /// `ray.init` came back with a connection, which the monitor of `watch` watches.
    pub fn arrived(
        &self,
        flight: &Arc<Flight>,
        connection: Connection,
        watch: Option<Arc<Watch>>,
    ) -> Arrival {
        let mut inner = self.inner();
        if !flight.is_wanted() || !owns(&inner, flight) {
            return Arrival::Unwanted;
        }
        self.circuits.succeeded(&flight.probe_plan.target);
        let away_for = inner.lost.as_ref().map(|lost| lost.since.elapsed());
        log_lines::connected(&self.whose, &connection.info, away_for);
        self.hold(&mut inner, connection, watch);
        self.disown(&mut inner);
        Arrival::Welcome
    }

    /// Takes over a connection that somebody else made; not one that is being shut down. `flight` has
    /// found it in place of its own, which ends that.
    ///
    /// # Errors
    /// The lost connection that is waited for was to another cluster.
    pub fn adopt(
        &self,
        connection: Connection,
        flight: Option<&Arc<Flight>>,
    ) -> Result<(), ConnectError> {
        let mut inner = self.inner();
        let is_lost = inner.lost.as_ref().is_some_and(|lost| !lost.released);
        let is_closing = matches!(inner.owner, Some(Owner::Shutdown(_)));
        let is_free = inner.connection.is_none() && !is_lost && !is_closing;
        let refusal = is_free
            .then(|| self.refuse_stranger(&mut inner, &connection, flight.map(AsRef::as_ref)))
            .flatten();
        if is_free && refusal.is_none() {
            log_lines::adopted(&connection.info);
            self.hold(&mut inner, connection, None);
            if let Some(Owner::Connect(current)) = &inner.owner
                && current.give_way()
            {
                inner.owner = None;
            }
        }
        if flight.is_some_and(|flight| owns(&inner, flight)) {
            self.disown(&mut inner);
        }
        refusal.map_or(Ok(()), Err)
    }

    /// The flight is over without a connection. The waiters are told by [`Flight::finish`].
    pub fn failed(&self, flight: &Arc<Flight>, error: &ConnectError) {
        let mut inner = self.inner();
        if !owns(&inner, flight) {
            return;
        }
        self.disown(&mut inner);
        if error.kind == Kind::Cancelled {
            log_lines::cancelled(&self.whose, error);
        } else if inner.lost.is_some() {
            self.not_back(&mut inner, error);
        } else {
            self.set_last_error(&mut inner, Some(error.clone()));
            log_lines::failed(&self.whose, error, flight);
            let cause = Some(error.clone());
            self.happened(What::Failed, &error.address, cause, None);
        }
    }

    fn disown(&self, inner: &mut Locked<'_>) {
        inner.owner = None;
        self.initialising.store(false, Ordering::Release);
    }
}

/// Shares the flight under way, or waits for its end.
fn join_current(
    current: &Arc<Flight>,
    wanted: &Arc<Flight>,
    patience: Patience,
    inner: &Inner,
) -> Joined {
    let same = current.probe_plan.target == wanted.probe_plan.target;
    // A flight that keeps a live connection does not serve a caller that wants it replaced.
    let serves = current.options.force || !wanted.options.force || inner.connection.is_none();
    if same
        && serves
        && let Some(waiter) = current.join(patience)
    {
        return Joined::Wait(waiter);
    }
    if current.is_overdue() {
        // It is stuck in `ray.init` for something that is not wanted any more.
        current.cancel();
    }
    Joined::After(Turn::Flight(current.over()))
}

fn owns(inner: &Inner, flight: &Arc<Flight>) -> bool {
    matches!(&inner.owner, Some(Owner::Connect(current)) if Arc::ptr_eq(current, flight))
}
