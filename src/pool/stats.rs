//! The numbers of a pool.

use std::time::Duration;

use super::{Inner, Pool};

#[derive(Clone, Copy, Default)]
pub(super) struct Counters {
    pub requests: u64,
    pub queued: u64,
    pub refused: u64,
    pub connects_failed: u64,
    /// Spent in the queue by all callers together.
    pub waited: Duration,
    /// For which connections were lent, all together.
    pub used: Duration,
}

/// The numbers of a pool at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// The least number of connections.
    pub min_size: usize,
    /// The largest number of connections.
    pub max_size: usize,
    /// Connections there are, of any condition.
    pub size: usize,
    /// Connections that can be lent at once.
    pub available: usize,
    /// Connections that are lent.
    pub in_use: usize,
    /// Connections that are being made, or that are lost and waited for.
    pub down: usize,
    /// Callers that wait.
    pub waiting: usize,
    /// Calls for a connection.
    pub requests: u64,
    /// Calls that had to wait.
    pub queued: u64,
    /// Calls that were refused at once.
    pub refused: u64,
    /// First connects that have failed.
    pub connects_failed: u64,
    /// Connections that were begun.
    pub connects: u64,
    /// Connections that were lost.
    pub lost: u64,
    /// Spent in the queue by all callers together.
    pub waited: Duration,
    /// For which connections were lent, all together.
    pub used: Duration,
}

impl Pool {
    /// The numbers now.
    pub fn stats(&self) -> Stats {
        let inner = self.inner();
        let Inner { counters, .. } = &*inner;
        let in_use = inner
            .places
            .iter()
            .filter(|place| place.lent.is_some())
            .count();
        let down = inner
            .places
            .iter()
            .filter(|place| !place.is_up && place.lent.is_none());
        Stats {
            min_size: self.limits.min_size,
            max_size: self.limits.max_size,
            size: inner.places.len(),
            available: inner.free.len(),
            in_use,
            down: down.count(),
            waiting: inner.queue.len(),
            requests: counters.requests,
            queued: counters.queued,
            refused: counters.refused,
            connects_failed: counters.connects_failed,
            connects: inner.made,
            lost: self.metrics.losses(),
            waited: counters.waited,
            used: counters.used,
        }
    }
}
