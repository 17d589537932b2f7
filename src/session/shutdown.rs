//! How a connection is given up: by `shutdown_ray`, or because the process ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use super::{Owner, Session, Turn};
use crate::health::Watch;
use crate::log_target::CONNECT;

/// How long `shutdown_ray` waits for a connect that was cancelled.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(5);

/// One call of `shutdown_ray`.
pub struct Shutdown<'a> {
    session: &'a Session,
    end: Instant,
}

/// The next step of a [`Shutdown`].
#[must_use]
pub enum ShutdownStep<F> {
    /// Nothing is held.
    Nothing,
    /// `ray.init` is running; what it connects is disconnected on arrival.
    OnArrival,
    /// Call `ray.shutdown()`, then [`Session::closed`].
    Run,
    /// Other work has to end first. Await this; true: ask for the next step; false: it took too long,
    /// and that was logged.
    Wait(F),
}

impl Shutdown<'_> {
    /// The next step. `ray_is_up`: Ray itself says that it is connected.
    pub fn next(&self, ray_is_up: bool) -> ShutdownStep<impl Future<Output = bool> + use<>> {
        let session = self.session;
        let mut inner = session.inner();
        session.set_last_error(&mut inner, None);
        inner.stop_waiting();
        match &inner.owner {
            // `exit` has cancelled what is under way, and no thread waits for its end.
            Some(_) if session.exiting.load(Ordering::Acquire) => ShutdownStep::Nothing,
            Some(Owner::Shutdown(over)) => self.wait(Turn::Shutdown(over.subscribe())),
            Some(Owner::Connect(flight)) => {
                flight.cancel();
                // A flight that was to replace a live connection may still keep that one.
                if flight.in_init() && inner.connection.is_none() {
                    return ShutdownStep::OnArrival;
                }
                self.wait(Turn::Flight(flight.over()))
            }
            None if inner.connection.is_some() || ray_is_up => {
                inner.owner = Some(Owner::Shutdown(watch::Sender::new(false)));
                session.let_go(&mut inner);
                ShutdownStep::Run
            }
            None => {
                session.let_go(&mut inner);
                ShutdownStep::Nothing
            }
        }
    }

    fn wait(&self, turn: Turn) -> ShutdownStep<impl Future<Output = bool> + use<>> {
        let end = self.end;
        ShutdownStep::Wait(async move {
            let is_over = turn.wait(end).await;
            if !is_over {
                warn!(
                    target: CONNECT,
                    "shutdown_ray() gave up waiting for a connect that was cancelled"
                );
            }
            is_over
        })
    }
}

impl Session {
    /// Begins `shutdown_ray`.
    pub fn shutdown(&self) -> Shutdown<'_> {
        Shutdown {
            session: self,
            end: Instant::now() + SHUTDOWN_WAIT,
        }
    }

    /// The connection is about to be shut down by the flight that replaces it.
    pub fn give_up(&self) {
        self.let_go(&mut self.inner());
    }

    /// `ray.shutdown()` has returned. `watch`: it was called to release a lost connection
    /// ([`Monitored::begin_release`]), whose monitor goes on to wait for the cluster.
    ///
    /// [`Monitored::begin_release`]: super::Monitored::begin_release
    pub fn closed(&self, watch: Option<&Watch>) {
        let mut inner = self.inner();
        if let Some(Owner::Shutdown(over)) = &inner.owner {
            over.send_replace(true);
            inner.owner = None;
            self.set_last_error(&mut inner, None);
        }
        if let Some(watch) = watch {
            inner.released(&self.whose, watch);
        }
    }

    /// The interpreter is about to end: cancels what is under way, refuses new connects, and
    /// releases every waiter.
    pub fn exit(&self) {
        self.exiting.store(true, Ordering::Release);
        let inner = self.inner();
        if let Some(watch) = &inner.watch {
            watch.stop();
        }
        match &inner.owner {
            Some(Owner::Connect(flight)) => {
                flight.cancel();
                flight.finish(Err(flight.cancelled()));
            }
            Some(Owner::Shutdown(over)) => {
                over.send_replace(true);
            }
            None => {}
        }
    }
}
