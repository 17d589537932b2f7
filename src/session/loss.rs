//! Transitions after a successful connect: unhealthy, recovered, lost, reconnecting.
//!
//! The monitor of the connection reports them through [`Monitored`]. Reports of a monitor that is no
//! longer current are ignored: [`Session::monitored`] gives it nothing to report through.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::log_lines::Whose;
use super::{Connection, ConnectionInfo, Inner, Locked, Owner, Session, State, log_lines};
use crate::error::{ConnectError, Kind};
use crate::events::What;
use crate::health::{Change, Watch};

/// The `retry_after` of a lost connection whose next try is not known yet.
const SOON: Duration = Duration::from_secs(1);

/// Another cluster that somebody else has connected Ray to in place of the lost one.
pub(super) struct Stranger {
    pub address: String,
    /// The lost cluster is known to answer again.
    pub is_back: bool,
}

/// A connection that was lost and not given up.
pub(super) struct LostConnection {
    cause: ConnectError,
    connection: Arc<Connection>,
    /// When it was lost.
    pub since: Instant,
    /// `ray.shutdown()` has been called.
    pub released: bool,
    pub reconnects: bool,
    /// What Ray is connected to meanwhile, by somebody else.
    pub stranger: Option<Stranger>,
    next_try: Option<Instant>,
    /// The [`Kind`] last logged for a failed reconnect, so that each cause is logged once.
    logged: Option<Kind>,
}

impl LostConnection {
    pub fn state(&self) -> State {
        if self.released && self.reconnects {
            State::Reconnecting
        } else {
            State::Lost
        }
    }

    /// Whether it is still to be released, or is waited for after that.
    pub const fn may_come_back(&self) -> bool {
        !self.released || self.reconnects
    }

    /// What is known about it.
    pub fn info(&self) -> &ConnectionInfo {
        &self.connection.info
    }

    /// What callers are told until it is connected again.
    pub fn error(&self) -> ConnectError {
        let hint = if self.reconnects {
            "It is connected again as soon as the cluster answers; handles and refs made before \
             are dead."
        } else {
            "Call ensure_ray_initialized(force_reinit=True) once the cluster is back; handles and \
             refs made before are dead."
        };
        let address = &self.connection.info.address;
        let instead = self.stranger.as_ref().map_or_else(String::new, |stranger| {
            format!(
                "; other code has connected this process to {}",
                stranger.address
            )
        });
        let mut error = ConnectError::new(
            Kind::Lost,
            address,
            format!(
                "{address} was lost {:.1} s ago ({}){instead}",
                self.since.elapsed().as_secs_f64(),
                self.cause.message
            ),
            hint,
        );
        error.retry_after = self.reconnects.then(|| {
            let left = self.next_try.map(|at| at - Instant::now());
            left.unwrap_or(SOON).max(Duration::from_millis(100))
        });
        error
    }
}

impl Locked<'_> {
    /// Forgets a lost connection; true when there was one.
    pub(super) fn forget_lost(&mut self) -> bool {
        let lost = self.lost.take();
        let was_lost = lost.is_some();
        self.ended.extend(lost.map(|lost| lost.connection));
        was_lost
    }

    /// Stops waiting for a lost connection. A release that is under way ends by itself.
    pub(super) fn stop_waiting(&mut self) {
        if self.forget_lost()
            && let Some(watch) = self.watch.take()
        {
            watch.stop();
        }
    }
}

impl Inner {
    /// Ray was shut down to release a lost connection. The monitor goes on to wait for the cluster,
    /// unless it is not to reconnect.
    pub(super) fn released(&mut self, whose: &Whose, watch: &Watch) {
        if !self.is_watched_by(watch) {
            return;
        }
        let Some(lost) = &mut self.lost else { return };
        lost.released = true;
        log_lines::released(whose, &lost.connection.info, lost.reconnects);
        if !lost.reconnects {
            watch.stop();
        }
    }

    fn is_watched_by(&self, watch: &Watch) -> bool {
        self.watch
            .as_deref()
            .is_some_and(|current| std::ptr::eq(current, watch))
    }
}

/// How far a monitored connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is held.
    Held,
    /// It is lost, and Ray was not shut down yet.
    Lost,
    /// It is lost, and Ray was shut down.
    Released,
}

/// How a connection has ended, as Ray itself tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Somebody has shut Ray down.
    ShutDown,
    /// A Ray Client has given up, for this cause.
    GivenUp(ConnectError),
}

/// The session's connection as its monitor sees it. Holds the session's lock.
pub struct Monitored<'a> {
    session: &'a Session,
    inner: Locked<'a>,
}

impl Session {
    /// What the monitor of `watch` may read and report; `None` once another monitor is current, or
    /// none.
    pub fn monitored(&self, watch: &Watch) -> Option<Monitored<'_>> {
        let inner = self.inner();
        inner.is_watched_by(watch).then(|| Monitored {
            session: self,
            inner,
        })
    }

    /// Ray itself says that there is no connection any more. While the cluster is silent, that is
    /// never taken for somebody's wish.
    pub fn gone(&self, how: Gone) {
        let mut inner = self.inner();
        let silent = inner.unhealthy.as_ref().map(|(_, cause)| cause.clone());
        let given_up = match how {
            Gone::GivenUp(cause) => Some(cause),
            Gone::ShutDown => None,
        };
        match silent.or(given_up).filter(|_| inner.watch.is_some()) {
            Some(cause) => self.lose(&mut inner, cause),
            None => self.shut_down_by_others(&mut inner),
        }
    }

    fn shut_down_by_others(&self, inner: &mut Locked<'_>) {
        let info = inner.connection.as_ref().map(|held| held.info.clone());
        self.let_go(inner);
        let Some(info) = info else { return };
        log_lines::shut_down_by_others(&self.whose, &info);
        let lived = info.since.elapsed().ok();
        self.happened(What::Shutdown, &info.address, None, lived);
    }

    fn lose(&self, inner: &mut Locked<'_>, cause: ConnectError) {
        let (Some(connection), Some(watch)) = (inner.connection.take(), inner.watch.clone()) else {
            return;
        };
        self.connected.store(false, Ordering::Release);
        connection.binding.released();
        inner.fresh_until = None;
        log_lines::lost(&self.whose, &cause, &watch);
        let lived = connection.info.since.elapsed().ok();
        let address = &connection.info.address;
        self.happened(What::Lost, address, Some(cause.clone()), lived);
        inner.lost = Some(LostConnection {
            cause,
            connection,
            since: Instant::now(),
            released: false,
            reconnects: watch.plan().reconnect,
            stranger: None,
            next_try: None,
            logged: None,
        });
    }

    /// Logs one line and records one event for each new cause that waiting alone does not cure; the
    /// tries go on, since somebody may mend it.
    pub(super) fn not_back(&self, inner: &mut Locked<'_>, cause: &ConnectError) {
        let Some(lost) = &mut inner.lost else { return };
        if cause.kind.is_transient() || cause.kind == Kind::NoLocalRay {
            return;
        }
        if lost.logged.replace(cause.kind) == Some(cause.kind) {
            return;
        }
        log_lines::not_back(&self.whose, cause);
        let (address, after) = (&cause.address, Some(lost.since.elapsed()));
        self.happened(What::Failed, address, Some(cause.clone()), after);
    }
}

impl Monitored<'_> {
    /// How far the connection is.
    pub fn phase(&self) -> Phase {
        match &self.inner.lost {
            None => Phase::Held,
            Some(lost) if lost.released => Phase::Released,
            Some(_) => Phase::Lost,
        }
    }

    /// A check has ended; a good one answers availability questions for a while.
    pub fn checked(&mut self, is_good: bool) {
        let freshness = self.inner.watch.as_ref().map(|watch| watch.freshness());
        let fresh_until = freshness.map(|freshness| Instant::now() + freshness);
        self.inner.fresh_until = fresh_until.filter(|_| is_good);
        if let Some(connection) = self.inner.connection.as_ref().filter(|_| is_good) {
            connection.binding.answered();
        }
    }

    /// The condition of the connection has changed. `left` is the time until it counts as lost, if it
    /// is not answering.
    pub fn change(&mut self, change: Change, left: Option<Duration>) {
        match change {
            Change::Unhealthy(cause) => self.unhealthy(cause, left),
            Change::Recovered => self.recovered(),
            Change::Lost(cause) => self.session.lose(&mut self.inner, cause),
        }
    }

    fn unhealthy(&mut self, cause: ConnectError, left: Option<Duration>) {
        let Some(connection) = self.inner.connection.clone() else {
            return;
        };
        log_lines::unhealthy(&self.session.whose, &cause, left);
        self.inner.unhealthy = Some((Instant::now(), cause.clone()));
        connection.binding.unhealthy(left == Some(Duration::ZERO));
        self.happened(What::Unhealthy, &connection, Some(cause), None);
    }

    /// The same cluster answers again. A connection that counted as lost is held again, as long as
    /// Ray was not released.
    fn recovered(&mut self) {
        let since = self.inner.unhealthy.take().map(|(since, _)| since);
        if let Some(lost) = self.inner.lost.take_if(|lost| !lost.released) {
            Arc::clone(&lost.connection.binding).held();
            self.inner.connection = Some(lost.connection);
            self.session.connected.store(true, Ordering::Release);
        }
        let Some(connection) = self.inner.connection.clone() else {
            return;
        };
        let after = since.map(|since| since.elapsed());
        log_lines::recovered(&self.session.whose, &connection.info, after);
        self.happened(What::Recovered, &connection, None, after);
    }

    fn happened(
        &mut self,
        what: What,
        connection: &Connection,
        cause: Option<ConnectError>,
        after: Option<Duration>,
    ) {
        let address = &connection.info.address;
        self.session.happened(what, address, cause, after);
    }

    /// Ray is about to be shut down: no connect begins until [`Session::closed`]. False when there
    /// is nothing to release, or somebody else is connecting or shutting down.
    #[must_use]
    pub fn begin_release(&mut self) -> bool {
        let begins = self.phase() == Phase::Lost && self.inner.owner.is_none();
        if begins {
            self.inner.owner = Some(Owner::Shutdown(watch::Sender::new(false)));
        }
        begins
    }

    /// The next try to reconnect is due after `pause`.
    pub fn retries_in(&mut self, pause: Duration) {
        if let Some(lost) = self.inner.lost.as_mut() {
            lost.next_try = Some(Instant::now() + pause);
        }
    }

    /// A try found that the cluster is not back.
    pub fn not_back(&mut self, cause: &ConnectError) {
        self.session.not_back(&mut self.inner, cause);
    }
}
