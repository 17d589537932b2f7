//! How a connection is lent: at once, or in turn.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::{Inner, LendError, Member, Pool, Stage};

type Granted = Result<Arc<Member>, LendError>;

/// What a caller gets.
#[must_use]
pub enum Lending {
    /// A connection.
    Now(Lease),
    /// A place in the queue.
    Later(Waiter),
}

/// A connection that is lent, until this is dropped.
#[must_use]
pub struct Lease {
    pool: Arc<Pool>,
    member: Arc<Member>,
}

impl Lease {
    /// The pool.
    pub const fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The connection.
    pub const fn member(&self) -> &Arc<Member> {
        &self.member
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.give_back(&self.member);
    }
}

/// A place in the queue, until this is dropped.
#[must_use]
pub struct Waiter {
    pool: Arc<Pool>,
    ticket: u64,
    began: Instant,
    granted: oneshot::Receiver<Granted>,
}

impl Waiter {
    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// There was none by `until`; none can be made; or the pool was closed.
    pub async fn wait(mut self, until: Instant) -> Result<Lease, LendError> {
        match timeout_at(until, &mut self.granted).await {
            Ok(Ok(granted)) => granted.map(|member| Lease {
                pool: Arc::clone(&self.pool),
                member,
            }),
            Ok(Err(_)) => Err(self.pool.closed()),
            Err(_) => Err(self.pool.timed_out(self.began.elapsed())),
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.pool.left(self.ticket, self.began);
        // Granted in the same moment, and not taken.
        if let Ok(Ok(member)) = self.granted.try_recv() {
            self.pool.give_back(&member);
        }
    }
}

/// Callers that wait, the first to come at the front.
#[derive(Default)]
pub(super) struct Queue {
    callers: VecDeque<Caller>,
    tickets: u64,
}

/// One of them.
pub(super) struct Caller {
    ticket: u64,
    grant: oneshot::Sender<Granted>,
}

impl Caller {
    /// Ends the wait.
    pub fn fail(self, error: LendError) {
        let _ = self.grant.send(Err(error));
    }
}

impl Queue {
    pub fn len(&self) -> usize {
        self.callers.len()
    }

    /// Takes out all of them.
    pub fn take(&mut self) -> Vec<Caller> {
        self.callers.drain(..).collect()
    }

    fn join(&mut self) -> (u64, oneshot::Receiver<Granted>) {
        let (grant, granted) = oneshot::channel();
        self.tickets += 1;
        let ticket = self.tickets;
        self.callers.push_back(Caller { ticket, grant });
        (ticket, granted)
    }

    fn leave(&mut self, ticket: u64) {
        // In the order of their tickets.
        if let Ok(index) = self
            .callers
            .binary_search_by_key(&ticket, |caller| caller.ticket)
        {
            self.callers.remove(index);
        }
    }
}

impl Pool {
    /// Lends a connection of an open pool, or queues the caller.
    ///
    /// # Errors
    ///
    /// The pool is closed, its queue is full, or the breaker says that there is no cluster.
    pub fn lend(self: &Arc<Self>) -> Result<Lending, LendError> {
        let mut inner = self.inner();
        self.check_open(&inner)?;
        inner.counters.requests += 1;
        if inner.queue.len() == 0
            && let Some((member, _)) = inner.free.pop()
        {
            inner.lent(&member);
            return Ok(Lending::Now(Lease {
                pool: Arc::clone(self),
                member,
            }));
        }
        if let Err(error) = self.may_wait(&inner) {
            inner.counters.refused += 1;
            return Err(error);
        }
        let (ticket, granted) = inner.queue.join();
        inner.counters.queued += 1;
        drop(inner);
        self.work.notify_one();
        Ok(Lending::Later(Waiter {
            pool: Arc::clone(self),
            ticket,
            began: Instant::now(),
            granted,
        }))
    }

    fn may_wait(&self, inner: &Inner) -> Result<(), LendError> {
        if self.limits.max_waiting > 0 && inner.queue.len() >= self.limits.max_waiting {
            return Err(self.full());
        }
        match self.circuits.rejection(&self.target) {
            Some((after, cause)) if inner.places.is_empty() => Err(self.rejected(&cause, after)),
            _ => Ok(()),
        }
    }

    fn left(&self, ticket: u64, began: Instant) {
        let mut inner = self.inner();
        inner.queue.leave(ticket);
        inner.counters.waited += began.elapsed();
    }

    fn give_back(&self, member: &Arc<Member>) {
        let mut inner = self.inner();
        let Some(place) = inner.place(member) else {
            return;
        };
        let lent = place.lent.take();
        let is_up = place.is_up;
        inner.counters.used += lent.map(|since| since.elapsed()).unwrap_or_default();
        if inner.stage >= Stage::Closed {
            self.work.notify_one();
        } else if is_up {
            Self::hand_on(&mut inner, Arc::clone(member));
        }
    }

    /// Lends a connection to who has waited longest, or keeps it.
    pub(super) fn hand_on(inner: &mut Inner, member: Arc<Member>) {
        while let Some(caller) = inner.queue.callers.pop_front() {
            if caller.grant.send(Ok(Arc::clone(&member))).is_ok() {
                inner.lent(&member);
                return;
            }
        }
        inner.free.push((member, Instant::now()));
    }
}

impl Inner {
    fn lent(&mut self, member: &Member) {
        if let Some(place) = self.place(member) {
            place.lent = Some(Instant::now());
        }
    }
}
