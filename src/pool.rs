//! Several connections to one cluster, each lent to one thread at a time.
//!
//! Every connection has a [`Session`] of its own, with the connect, the breaker and the monitor that
//! the process's connection has; a lost one is made again by its own monitor. The pool does the
//! rest: it lends, queues callers in the order in which they came, and says when another connection
//! is to be made or ended (`pool/keeper.rs`).
//!
//! The pool's lock is taken under that of a session ([`Pool::up`], [`Pool::down`]), never the other way
//! round.

mod errors;
mod keeper;
mod lending;
mod register;
mod stats;

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::error::ConnectError;
use crate::metrics::Metrics;
use crate::session::{Circuits, Session};
use crate::target::Target;
pub use errors::LendError;
pub use keeper::Order;
use lending::Queue;
pub use lending::{Lease, Lending, Waiter};
pub use register::Pools;
use stats::Counters;
pub use stats::Stats;

/// How many connections and callers a pool has.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many connections are kept.
    pub min_size: usize,
    /// At most so many are made.
    pub max_size: usize,
    /// So many callers may wait; 0 is any number.
    pub max_waiting: usize,
    /// A connection above `min_size` that nobody has used for so long is ended.
    pub max_idle: Duration,
}

/// One connection of a pool.
pub struct Member {
    /// Counts the connections of the pool.
    pub number: u64,
    /// Its state, and how it is made and lost.
    pub session: Arc<Session>,
    /// The language side's share, set once.
    pub seat: OnceLock<Box<dyn Any + Send + Sync>>,
}

struct Place {
    member: Arc<Member>,
    /// It is connected, and the cluster answers.
    is_up: bool,
    /// It is being made for the first time.
    is_new: bool,
    /// Its server process seems to have ended: another connection takes its place.
    is_broken: bool,
    /// Since when it is lent.
    lent: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    New,
    Open,
    /// Nothing is lent any more; what is lent is ended when it comes back.
    Closed,
    /// The process is ending: what is lent is ended, too.
    Ending,
}

#[derive(Default)]
struct Inner {
    stage: Stage,
    places: Vec<Place>,
    /// Connected and not lent, with the time of their return. The last one is lent first: it knows most
    /// remote functions already, and the others may become idle.
    free: Vec<(Arc<Member>, Instant)>,
    queue: Queue,
    /// Why no connection could be made last.
    failure: Option<ConnectError>,
    /// When another one may be made after that.
    retry_at: Option<Instant>,
    failures: u32,
    made: u64,
    counters: Counters,
}

/// How far a pool is, for those who wait for it to fill.
#[derive(Clone, Debug, Default)]
struct Fill {
    up: usize,
    /// Nothing is connected or being made, for a cause that time does not cure.
    failure: Option<ConnectError>,
}

/// Connections to one target.
pub struct Pool {
    /// The name, in logs, events and metrics.
    pub name: Arc<str>,
    /// What the connections lead to.
    pub target: Target,
    limits: Limits,
    /// The process's own session, which tells the pool's events.
    process: Arc<Session>,
    circuits: Arc<Circuits>,
    /// Counters of all connections.
    pub metrics: Arc<Metrics>,
    inner: Mutex<Inner>,
    fill: watch::Sender<Fill>,
    /// There may be something to do for the keeper.
    work: Notify,
}

impl Pool {
    /// A pool that makes no connection until it is opened. `process` is the process's own session.
    pub fn new(name: &str, target: Target, limits: Limits, process: &Arc<Session>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            target,
            limits,
            process: Arc::clone(process),
            circuits: Arc::default(),
            metrics: Arc::default(),
            inner: Mutex::default(),
            fill: watch::Sender::default(),
            work: Notify::new(),
        })
    }

    /// The same for another process, in the state before it was opened. Takes no lock.
    pub fn anew(&self, process: &Arc<Session>) -> Arc<Self> {
        Self::new(&self.name, self.target.clone(), self.limits, process)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the pool belongs to the process of `session`, and not to one that it was forked from.
    /// Takes no lock: at the fork another thread may have held it.
    pub fn is_of(&self, session: &Arc<Session>) -> bool {
        Arc::ptr_eq(&self.process, session)
    }

    /// Begins to make connections. True the first time.
    ///
    /// # Errors
    ///
    /// It was closed.
    pub fn open(&self) -> Result<bool, LendError> {
        let mut inner = self.inner();
        self.check_open(&inner)?;
        let is_first = inner.stage == Stage::New;
        inner.stage = Stage::Open;
        if is_first {
            self.work.notify_one();
        }
        Ok(is_first)
    }

    fn check_open(&self, inner: &Inner) -> Result<(), LendError> {
        if inner.stage >= Stage::Closed {
            return Err(self.closed());
        }
        match self.process.refusal(&self.target.address.to_string()) {
            Some(refusal) => Err(LendError::Failed(refusal)),
            None => Ok(()),
        }
    }

    /// Lends nothing any more, and ends what waits. `at_once`: connections that are lent are ended, too.
    pub fn close(&self, at_once: bool) {
        let waiting = {
            let mut inner = self.inner();
            let stage = if at_once {
                Stage::Ending
            } else {
                Stage::Closed
            };
            inner.stage = inner.stage.max(stage);
            inner.queue.take()
        };
        for waiter in waiting {
            waiter.fail(self.closed());
        }
        self.fill.send_modify(|_| {});
        self.work.notify_one();
    }

    /// Whether [`Pool::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.inner().stage >= Stage::Closed
    }

    /// Waits until `min_size` connections are up.
    ///
    /// # Errors
    ///
    /// They were not by then; or none can be made, for a cause that time does not cure.
    pub async fn filled(&self, until: Instant) -> Result<(), LendError> {
        let began = Instant::now();
        let mut fill = self.fill.subscribe();
        let is_over = |fill: &Fill| {
            fill.up >= self.limits.min_size || fill.failure.is_some() || self.is_closed()
        };
        let over = tokio::time::timeout_at(until, fill.wait_for(is_over)).await;
        let fill = over.ok().and_then(Result::ok).map(|fill| fill.clone());
        match fill {
            _ if self.is_closed() => Err(self.closed()),
            Some(Fill {
                failure: Some(cause),
                up,
            }) if up < self.limits.min_size => Err(LendError::Failed(cause)),
            Some(_) => Ok(()),
            None => Err(self.not_filled(began.elapsed())),
        }
    }

    /// `member` is connected, and the cluster answers. Called under the lock of its session.
    pub fn up(&self, member: &Member) {
        let mut inner = self.inner();
        let Some(place) = inner.place(member).filter(|place| !place.is_up) else {
            return;
        };
        place.is_up = true;
        place.is_new = false;
        place.is_broken = false;
        let is_free = place.lent.is_none();
        let member = Arc::clone(&place.member);
        inner.failure = None;
        inner.retry_at = None;
        inner.failures = 0;
        if is_free {
            Self::hand_on(&mut inner, member);
        }
        self.changed(&inner);
    }

    /// `member` is not connected any more, or the cluster does not answer; `is_broken`: it alone does not
    /// work any more. Called under the lock of its session.
    pub fn down(&self, member: &Member, is_broken: bool) {
        let mut inner = self.inner();
        inner.free.retain(|(free, _)| free.number != member.number);
        if let Some(place) = inner.place(member) {
            place.is_up = false;
            place.is_broken |= is_broken;
        }
        self.changed(&inner);
    }

    /// Whether `member` is to be made again by its monitor, and not to be replaced.
    pub fn awaits(&self, member: &Member) -> bool {
        let mut inner = self.inner();
        inner.place(member).is_some_and(|place| !place.is_broken)
    }

    /// The first connect of `member` has failed.
    pub fn failed(&self, member: &Member, cause: &ConnectError) {
        let now = Instant::now();
        let waiting = {
            let mut inner = self.inner();
            inner.remove(member);
            inner.failures = inner.failures.saturating_add(1);
            let closed_for = self
                .circuits
                .rejection(&self.target)
                .map(|(after, _)| after);
            let pause = cause.retry_after.or(closed_for);
            inner.retry_at = Some(now + pause.unwrap_or_else(|| keeper::pause(inner.failures)));
            inner.failure = Some(cause.clone());
            inner.counters.connects_failed += 1;
            self.changed(&inner);
            // Others may still serve them.
            if inner.places.is_empty() {
                inner.queue.take()
            } else {
                Vec::new()
            }
        };
        for waiter in waiting {
            waiter.fail(LendError::Failed(cause.clone()));
        }
    }

    fn changed(&self, inner: &Inner) {
        let is_hopeless = inner.places.is_empty();
        let failure = inner
            .failure
            .clone()
            .filter(|cause| is_hopeless && !keeper::passes(cause.kind));
        let up = inner.places.iter().filter(|place| place.is_up).count();
        self.fill.send_replace(Fill { up, failure });
        self.work.notify_one();
    }
}

impl Inner {
    fn place(&mut self, member: &Member) -> Option<&mut Place> {
        let is_it = |place: &&mut Place| place.member.number == member.number;
        self.places.iter_mut().find(is_it)
    }

    fn remove(&mut self, member: &Member) {
        self.free.retain(|(free, _)| free.number != member.number);
        self.places
            .retain(|place| place.member.number != member.number);
    }
}
