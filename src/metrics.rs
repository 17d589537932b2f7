//! The counters of this process: atomics, written where something happens and read by a scrape
//! ([`crate::exposition`]).
//!
//! A call on a live connection writes none of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use strum::VariantArray as _;

use crate::error::Kind;

const CAUSES: usize = Kind::VARIANTS.len();

/// From a handshake on this machine to a cluster that starts during the wait.
const CONNECT_BOUNDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// From a warm round trip on this machine to beyond the default probe timeout.
const PROBE_BOUNDS: &[f64] = &[
    0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// The counters of one process.
pub struct Metrics {
    pub(crate) connects: Outcomes,
    pub(crate) probes: Outcomes,
    /// Connects that failed or were cancelled.
    pub(crate) failures: ByCause,
    /// Calls that were answered without trying.
    pub(crate) rejections: ByCause,
    losses: AtomicU64,
    reconnects: AtomicU64,
    /// Nanoseconds since the epoch; 0 is never.
    last_success: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            connects: Outcomes::new(CONNECT_BOUNDS),
            probes: Outcomes::new(PROBE_BOUNDS),
            failures: ByCause::default(),
            rejections: ByCause::default(),
            losses: AtomicU64::default(),
            reconnects: AtomicU64::default(),
            last_success: AtomicU64::default(),
        }
    }
}

impl Metrics {
    /// Counts a connect that has ended, with the cause of its failure. Callers that shared it count
    /// once.
    pub fn connect_ended(&self, took: Duration, failure: Option<Kind>) {
        match failure {
            None => {
                self.connects.succeeded.observe(took);
                self.succeeded();
            }
            Some(cause) => {
                self.failures.add(cause);
                // The time until the last caller gave up says nothing about the cluster.
                if cause != Kind::Cancelled {
                    self.connects.failed.observe(took);
                }
            }
        }
    }

    /// Counts a probe that has ended.
    pub fn probed(&self, took: Duration, has_answered: bool) {
        if has_answered {
            self.probes.succeeded.observe(took);
            self.succeeded();
        } else {
            self.probes.failed.observe(took);
        }
    }

    /// Counts a call that was answered without trying.
    pub fn rejected(&self, cause: Kind) {
        self.rejections.add(cause);
    }

    /// Counts a lost connection.
    pub fn lost(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that was made again after a loss.
    pub fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of lost connections.
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// The number of connections that were made again after a loss.
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// When a connect or a probe last succeeded, since the epoch; zero if none has.
    pub fn last_success(&self) -> Duration {
        Duration::from_nanos(self.last_success.load(Ordering::Relaxed))
    }

    fn succeeded(&self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        self.last_success
            .store(nanoseconds(since.unwrap_or_default()), Ordering::Relaxed);
    }
}

/// One counter for each cause.
#[derive(Default)]
pub struct ByCause([AtomicU64; CAUSES]);

impl ByCause {
    fn add(&self, cause: Kind) {
        self.0[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The number of occurrences of `cause`.
    pub fn get(&self, cause: Kind) -> u64 {
        self.0[cause as usize].load(Ordering::Relaxed)
    }
}

/// Durations of successes and, apart from them, of failures: a timeout among the answers would only
/// show the setting.
pub struct Outcomes {
    /// Durations of those that succeeded.
    pub succeeded: Histogram,
    /// Durations of those that failed.
    pub failed: Histogram,
}

impl Outcomes {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            succeeded: Histogram::new(bounds),
            failed: Histogram::new(bounds),
        }
    }
}

/// Durations, counted by length.
pub struct Histogram {
    /// Inclusive upper bounds of the buckets, in seconds; the last bucket has none.
    pub bounds: &'static [f64],
    buckets: Box<[AtomicU64]>,
    nanoseconds: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::default()).collect(),
            nanoseconds: AtomicU64::default(),
        }
    }

    fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = self.bounds.partition_point(|&bound| bound < seconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds
            .fetch_add(nanoseconds(took), Ordering::Relaxed);
    }

    /// The number of durations up to each bound; the last is that of all.
    pub fn cumulative(&self) -> Vec<u64> {
        let counts = self.buckets.iter();
        counts
            .scan(0, |sum, bucket| {
                *sum += bucket.load(Ordering::Relaxed);
                Some(*sum)
            })
            .collect()
    }

    /// The sum of all durations.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}

/// 64 bits of nanoseconds are 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
