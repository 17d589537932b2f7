//! What comes after a connection was made: it ails, recovers, is lost, and is waited for.
//!
//! All of this is told by the [`Watch`] of that connection. What another one tells, of a
//! connection that was given up long ago, changes nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{ConnectionInfo, Inner, Owner, Session, State, log_lines};
use crate::error::{ConnectError, Kind};
use crate::events::What;
use crate::health::Watch;

/// A connection that was lost and not given up.
pub(super) struct LostConnection {
    cause: ConnectError,
    live: Arc<ConnectionInfo>,
    /// When it was lost.
    pub since: Instant,
    /// Ray has let go of it.
    pub released: bool,
    reconnects: bool,
    next_try: Option<Instant>,
    /// What the last failed try was told to people for.
    told: Option<Kind>,
}

/// Asking again before that is no use while nothing is known.
const SOON: Duration = Duration::from_secs(1);

impl LostConnection {
    pub fn state(&self) -> State {
        if self.released && self.reconnects {
            State::Reconnecting
        } else {
            State::Lost
        }
    }

    /// What callers are told in between.
    pub fn error(&self) -> ConnectError {
        let hint = if self.reconnects {
            "It is connected again as soon as the cluster answers; handles and refs made before \
             are dead."
        } else {
            "Call ensure_ray_initialized(force_reinit=True) once the cluster is back; handles and \
             refs made before are dead."
        };
        let mut error = ConnectError::new(
            Kind::Lost,
            &self.live.address,
            format!(
                "{} was lost {:.1} s ago ({})",
                self.live.address,
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

impl Inner {
    /// A connection that was lost is not waited for any more. A release under way ends by itself.
    pub(super) fn give_up_waiting(&mut self) {
        if self.away.take().is_some()
            && let Some(watch) = self.watch.take()
        {
            watch.stop();
        }
    }

    /// Whether `watch` is the one that keeps an eye on the connection, or on its absence.
    fn is_watched_by(&self, watch: &Watch) -> bool {
        self.watch
            .as_deref()
            .is_some_and(|current| std::ptr::eq(current, watch))
    }
}

impl Session {
    /// Whether Ray is on its way up or down, by our doing: no time to look at the cluster.
    pub fn is_busy(&self) -> bool {
        self.inner().owner.is_some()
    }

    /// Whether the last look is recent enough, and was good.
    pub fn is_fresh(&self) -> bool {
        let fresh_until = self.inner().fresh_until;
        fresh_until.is_some_and(|end| Instant::now() < end)
    }

    /// The watch of the connection that is held, or of the one that was lost.
    pub fn watch(&self) -> Option<Arc<Watch>> {
        self.inner().watch.clone()
    }

    /// Gives the connection that is held another watch, or none.
    pub fn watch_with(&self, watch: Option<Arc<Watch>>) {
        let mut inner = self.inner();
        inner.fresh_until = None;
        inner.ailing = None;
        if watch.is_none() {
            // Nobody waits for the cluster any more.
            inner.away = None;
        }
        if let Some(old) = std::mem::replace(&mut inner.watch, watch) {
            old.stop();
        }
    }

    /// Why nobody is connected at the moment although somebody was: a connection was lost.
    pub fn lost_error(&self) -> Option<ConnectError> {
        self.inner().away.as_ref().map(LostConnection::error)
    }

    /// A look was taken.
    pub fn looked(&self, watch: &Watch, took: Duration, cause: Option<ConnectError>) {
        let is_good = cause.is_none();
        self.probed(took, cause);
        let mut inner = self.inner();
        if inner.is_watched_by(watch) {
            inner.fresh_until = is_good.then(|| Instant::now() + watch.freshness());
        }
    }

    /// Too many looks failed.
    pub fn unhealthy(&self, watch: &Watch, cause: ConnectError) {
        let mut inner = self.inner();
        let Some(live) = inner.live.clone().filter(|_| inner.is_watched_by(watch)) else {
            return;
        };
        log_lines::unhealthy(&cause, watch);
        inner.ailing = Some((Instant::now(), cause.clone()));
        self.happened(
            &mut inner,
            What::Unhealthy,
            &live.address,
            Some(cause),
            None,
        );
    }

    /// The same cluster answers again. Even a connection that counted as lost is back, as long as
    /// Ray has not let go of it.
    pub fn recovered(&self, watch: &Watch) {
        let mut inner = self.inner();
        if !inner.is_watched_by(watch) {
            return;
        }
        let ailed = inner.ailing.take();
        if let Some(away) = inner.away.take_if(|away| !away.released) {
            inner.live = Some(away.live);
            self.connected.store(true, Ordering::Release);
        }
        let Some(live) = inner.live.clone() else {
            return;
        };
        let after = ailed.map(|(since, _)| since.elapsed());
        log_lines::recovered(&live, after);
        self.happened(&mut inner, What::Recovered, &live.address, None, after);
    }

    /// The connection will not come back as the one it was.
    pub fn lost(&self, watch: &Watch, cause: ConnectError) {
        let mut inner = self.inner();
        if inner.is_watched_by(watch) {
            self.lose(&mut inner, cause);
        }
    }

    /// Ray itself says that there is no connection any more. While the cluster was silent that
    /// means that Ray has given up (a Ray Client does after its grace), so that the connection is
    /// lost; else somebody has shut Ray down, who may have had a reason.
    pub fn gone(&self) {
        let mut inner = self.inner();
        let cause = inner.ailing.as_ref().map(|(_, cause)| cause.clone());
        match cause.filter(|_| inner.watch.is_some()) {
            Some(cause) => self.lose(&mut inner, cause),
            None => self.let_go(&mut inner),
        }
    }

    fn lose(&self, inner: &mut Inner, cause: ConnectError) {
        let (Some(live), Some(watch)) = (inner.live.take(), inner.watch.clone()) else {
            return;
        };
        self.connected.store(false, Ordering::Release);
        inner.fresh_until = None;
        let lived = live.since.elapsed().ok();
        log_lines::lost(&cause, &watch);
        self.happened(inner, What::Lost, &live.address, Some(cause.clone()), lived);
        inner.away = Some(LostConnection {
            cause,
            live,
            since: Instant::now(),
            released: false,
            reconnects: watch.plan().reconnect,
            next_try: None,
            told: None,
        });
    }

    /// Whether `watch` is the one that counts.
    pub fn is_watched_by(&self, watch: &Watch) -> bool {
        self.inner().is_watched_by(watch)
    }

    /// Whether the connection of `watch` is lost and released, and is to be made again.
    pub fn is_away(&self, watch: &Watch) -> bool {
        let inner = self.inner();
        let is_away = inner.away.as_ref().is_some_and(|away| away.released);
        is_away && inner.is_watched_by(watch)
    }

    /// Whether the connection of `watch` is lost, and Ray still holds on to it.
    pub fn is_dying(&self, watch: &Watch) -> bool {
        let inner = self.inner();
        let is_away = inner.away.as_ref().is_some_and(|away| !away.released);
        is_away && inner.is_watched_by(watch)
    }

    /// Ray is about to be shut down. False when it need not be, or somebody else is at it.
    #[must_use]
    pub fn release_begins(&self, watch: &Watch) -> bool {
        let mut inner = self.inner();
        let dying = inner.away.as_ref().is_some_and(|away| !away.released);
        if !dying || !inner.is_watched_by(watch) || inner.owner.is_some() {
            return false;
        }
        inner.owner = Some(Owner::Shutdown(watch::Sender::new(false)));
        true
    }

    /// Ray was shut down. The watch goes on to wait for the cluster, or is over.
    pub fn released(&self, watch: &Watch) {
        self.closed();
        let mut inner = self.inner();
        let is_ours = inner.is_watched_by(watch);
        let Some(away) = inner.away.as_mut().filter(|_| is_ours) else {
            return;
        };
        away.released = true;
        log_lines::released(&away.live, away.reconnects);
        if !away.reconnects {
            watch.stop();
        }
    }

    /// The next try is due in that time.
    pub fn retries_in(&self, watch: &Watch, pause: Duration) {
        let mut inner = self.inner();
        let is_ours = inner.is_watched_by(watch);
        if let Some(away) = inner.away.as_mut().filter(|_| is_ours) {
            away.next_try = Some(Instant::now() + pause);
        }
    }

    /// A try found that the cluster is not back.
    pub fn still_away(&self, watch: &Watch, cause: &ConnectError) {
        let mut inner = self.inner();
        if inner.is_watched_by(watch) {
            self.not_back(&mut inner, cause);
        }
    }

    /// One line and one event for each new cause that waiting alone does not cure; the tries go on,
    /// since people do.
    pub(super) fn not_back(&self, inner: &mut Inner, cause: &ConnectError) {
        let Some(away) = &mut inner.away else { return };
        if cause.kind.is_transient() || cause.kind == Kind::NoLocalRay {
            return;
        }
        if away.told.replace(cause.kind) == Some(cause.kind) {
            return;
        }
        log_lines::not_back(cause);
        let after = Some(away.since.elapsed());
        self.happened(
            inner,
            What::Failed,
            &cause.address,
            Some(cause.clone()),
            after,
        );
    }
}
