//! Who connects: a flight from the first seat in it to its end, and connections of somebody else.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::info;

use super::{Arrival, ConnectionInfo, Inner, Joined, Owner, Session, Turn, log_lines};
use crate::error::{ConnectError, Kind};
use crate::events::What;
use crate::flight::{Deadline, Flight, Waiter};
use crate::health::Watch;
use crate::target::Target;

impl Session {
    /// A seat in a flight to `target` that is under way, for who wants nothing replaced. What
    /// [`Session::join`] would say as well, without anything made for a flight of one's own.
    pub fn seat(
        &self,
        target: &Target,
        patience: Deadline,
        wait_for_local: bool,
    ) -> Option<Waiter> {
        let inner = self.inner();
        match (&inner.owner, &inner.live) {
            (Some(Owner::Connect(current)), None) if current.probe_plan.target == *target => {
                current.join(patience, wait_for_local)
            }
            _ => None,
        }
    }

    /// Asks for a connection to what `flight` would try.
    pub fn join(&self, flight: &Arc<Flight>, patience: Deadline) -> Joined {
        let mut inner = self.inner();
        // Under the lock, so that no flight begins after `exit` has looked for one.
        if let Some(error) = self.refusal(&flight.probe_plan.target.address.to_string()) {
            return Joined::Refused(error);
        }
        match (&inner.owner, &inner.live) {
            (Some(Owner::Shutdown(over)), _) => Joined::After(Turn::Shutdown(over.subscribe())),
            (_, Some(live)) if !flight.options.force => Joined::Connected(Arc::clone(live)),
            (Some(Owner::Connect(current)), _) => join_current(current, flight, patience, &inner),
            (None, _) => match flight.join(patience, flight.options.wait_for_local) {
                Some(waiter) => {
                    inner.owner = Some(Owner::Connect(Arc::clone(flight)));
                    Joined::Lead(waiter)
                }
                None => Joined::Refused(flight.cancelled()),
            },
        }
    }

    /// The preflight has passed and `ray.init` is next. False when the flight was called off.
    #[must_use]
    pub fn begin_init(&self, flight: &Arc<Flight>) -> bool {
        let inner = self.inner();
        let begun = owns(&inner, flight) && flight.begin_init();
        if begun {
            self.initialising.store(true, Ordering::Release);
        }
        begun
    }

    /// `ray.init` came back with a connection, which `watch` keeps an eye on.
    pub fn arrived(
        &self,
        flight: &Arc<Flight>,
        live: ConnectionInfo,
        watch: Option<Arc<Watch>>,
    ) -> Arrival {
        let mut inner = self.inner();
        if !flight.is_wanted() || !owns(&inner, flight) {
            return Arrival::Unwanted;
        }
        self.breaker().succeeded(&flight.probe_plan.target);
        log_lines::connected(&live, inner.away.as_ref().map(|away| away.since.elapsed()));
        self.hold(&mut inner, live, watch);
        inner.owner = None;
        self.initialising.store(false, Ordering::Release);
        Arrival::Welcome
    }

    /// Takes over a connection that somebody else made; not one that is being shut down. False when
    /// it is not taken.
    pub fn adopt(&self, live: ConnectionInfo) -> bool {
        let mut inner = self.inner();
        let is_dying = inner.away.as_ref().is_some_and(|away| !away.released);
        if inner.live.is_some() || is_dying || matches!(inner.owner, Some(Owner::Shutdown(_))) {
            return false;
        }
        info!(
            "found Ray connected by someone else ({}), using that connection",
            live.address
        );
        self.hold(&mut inner, live, None);
        if let Some(Owner::Connect(flight)) = &inner.owner
            && flight.yields()
        {
            inner.owner = None;
        }
        true
    }

    /// The flight found that somebody else had connected, and that was adopted.
    pub fn overtaken(&self, flight: &Arc<Flight>) {
        let mut inner = self.inner();
        if owns(&inner, flight) {
            inner.owner = None;
            self.initialising.store(false, Ordering::Release);
        }
    }

    /// The flight is over without a connection. The waiters are told by [`Flight::land`].
    pub fn failed(&self, flight: &Arc<Flight>, error: &ConnectError) {
        let mut inner = self.inner();
        if !owns(&inner, flight) {
            return;
        }
        inner.owner = None;
        self.initialising.store(false, Ordering::Release);
        if error.kind == Kind::Cancelled {
            // Wished for, so no failure to remember.
            info!("{error}");
            return;
        }
        if inner.away.is_some() {
            return self.not_back(&mut inner, error);
        }
        self.tell(&mut inner, Some(error.clone()));
        log_lines::failed(error, flight);
        self.happened(
            &mut inner,
            What::Failed,
            &error.address,
            Some(error.clone()),
            None,
        );
    }
}

/// Shares the flight under way, or waits for its end.
fn join_current(
    current: &Arc<Flight>,
    wish: &Arc<Flight>,
    patience: Deadline,
    inner: &Inner,
) -> Joined {
    let same = current.probe_plan.target == wish.probe_plan.target;
    // Whoever wants a live connection replaced gets nothing from a flight that would keep it.
    let serves = current.options.force || !wish.options.force || inner.live.is_none();
    if same
        && serves
        && let Some(waiter) = current.join(patience, wish.options.wait_for_local)
    {
        return Joined::Wait(waiter);
    }
    if current.is_overdue() {
        // Stuck in ray.init for something that is not what is wanted now.
        current.call_off();
    }
    Joined::After(Turn::Flight(current.over()))
}

fn owns(inner: &Inner, flight: &Arc<Flight>) -> bool {
    matches!(&inner.owner, Some(Owner::Connect(current)) if Arc::ptr_eq(current, flight))
}
