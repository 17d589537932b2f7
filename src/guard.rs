//! The guard of calls that wait for the GCS: asks it first, over a channel of our own.
//!
//! Such a call has no bound inside Ray, and one that is pending when the GCS dies costs the process
//! (docs/ray-internals.md, "GCS-bound calls"). So it goes on only once the GCS has
//! answered; until then it waits here, where a loss ends it with an exception.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{ConnectError, Kind};
use crate::health::Watch;
use crate::preflight::BoxFuture;
use crate::probe::{Question, Rows, SharedChannel};
use crate::session::{Phase, Session, State};

/// Between two tries while the GCS does not answer, and between two looks at the session.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest bound of one try. It grows with each one: a GCS that is slow is not dead.
const PATIENT: Duration = Duration::from_secs(10);
/// How long a call waits on a thread whose event loop it blocks.
const ON_EVENT_LOOP: Duration = Duration::from_secs(5);
/// The monitor reports a loss once the grace is used up; this is for a monitor that does not.
const LATE: Duration = Duration::from_secs(15);

/// Where questions are asked. The GCS in production; scripted in tests.
pub trait Line: Send + Sync + 'static {
    /// The answer to `question`; tries for a few times `bound` at most.
    fn ask(&self, question: Question, bound: Duration)
    -> BoxFuture<'_, Result<Rows, ConnectError>>;
}

impl Line for SharedChannel {
    fn ask(
        &self,
        question: Question,
        bound: Duration,
    ) -> BoxFuture<'_, Result<Rows, ConnectError>> {
        Box::pin(Self::ask(self, question, bound))
    }
}

/// What the thread of a call can afford.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// It waits until the GCS answers or the connection is lost.
    Thread,
    /// Its event loop stands still meanwhile: it waits for a few seconds at most, and not at all
    /// once the connection is known to be unhealthy.
    EventLoop,
}

/// The guard of one native connection.
pub struct Guard {
    watch: Arc<Watch>,
    line: Box<dyn Line>,
    bound: Duration,
    grace: Duration,
}

impl Guard {
    /// Of the connection that `watch` watches. `bound` is that of the first try, `grace` the time
    /// from the last answer until the connection counts as lost.
    pub fn new(watch: Arc<Watch>, line: Box<dyn Line>, bound: Duration, grace: Duration) -> Self {
        Self {
            watch,
            line,
            bound,
            grace,
        }
    }

    /// The GCS's answer, waited for as long as the connection may recover. `None` when `session` does
    /// not hold the connection any more and none was lost: then the caller is Ray's alone.
    ///
    /// # Errors
    /// The loss, or the cause by which there was no answer in the time that `caller` has.
    pub async fn ask(
        &self,
        session: &Session,
        question: Question,
        caller: Caller,
    ) -> Result<Option<Rows>, ConnectError> {
        // Also in a forked child, whose session does not know this watch.
        if !self.is_held(session)? {
            return Ok(None);
        }
        let cause = Mutex::new(None);
        tokio::select! {
            biased;
            rows = self.tried(question, &cause) => Ok(Some(rows)),
            end = self.given_up(session, caller, &cause) => end.map(|()| None),
        }
    }

    /// Whether the connection is held.
    ///
    /// # Errors
    /// The loss.
    fn is_held(&self, session: &Session) -> Result<bool, ConnectError> {
        let phase = session.monitored(&self.watch).map(|held| held.phase());
        match (phase, session.last_error()) {
            (None, _) => Ok(false),
            (Some(Phase::Lost | Phase::Released), Some(lost)) => Err(lost),
            (Some(_), _) => Ok(true),
        }
    }

    async fn tried(&self, question: Question, cause: &Mutex<Option<ConnectError>>) -> Rows {
        let mut bound = self.bound;
        loop {
            match self.line.ask(question, bound).await {
                Ok(rows) => return rows,
                Err(error) => *lock(cause) = Some(error),
            }
            bound = PATIENT.min(bound * 2).max(self.bound);
            sleep(PAUSE).await;
        }
    }

    /// Returns once it is of no use to wait any more: the connection is not held.
    async fn given_up(
        &self,
        session: &Session,
        caller: Caller,
        cause: &Mutex<Option<ConnectError>>,
    ) -> Result<(), ConnectError> {
        let began = Instant::now();
        let patience = match caller {
            Caller::Thread => self.grace + LATE,
            Caller::EventLoop => ON_EVENT_LOOP.min(self.grace + LATE),
        };
        loop {
            sleep(PAUSE).await;
            if !self.is_held(session)? {
                return Ok(());
            }
            let is_shut = caller == Caller::EventLoop && session.state() == State::Unhealthy;
            if is_shut || began.elapsed() >= patience {
                return Err(no_answer(
                    lock(cause).take(),
                    session,
                    began.elapsed(),
                    caller,
                ));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_answer(
    cause: Option<ConnectError>,
    session: &Session,
    waited: Duration,
    caller: Caller,
) -> ConnectError {
    let cause = cause.unwrap_or_else(|| {
        let connection = session.connection();
        let address = connection.map_or_else(String::new, |held| held.info.address.clone());
        let message = format!("{address}: the GCS does not answer");
        ConnectError::new(Kind::Timeout, address, message, "")
    });
    let hint = match caller {
        Caller::Thread => "Look at the head: its GCS (gcs_server) has stopped or hangs.",
        Caller::EventLoop => {
            "Call Ray in a thread (asyncio.to_thread), where the call waits for the cluster; on an \
             event loop it would stop everything else."
        }
    };
    let message = format!(
        "{} (waited {:.1} s before a call that needs it)",
        cause.message,
        waited.as_secs_f64()
    );
    ConnectError::new(cause.kind, &cause.address, message, hint)
}
