//! What is logged about that which keeps Ray from being released.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::{error, warn};

use crate::log_target::MONITOR;

/// What was logged, so that it is logged once.
#[derive(Default)]
pub(super) struct BlockedCalls(Mutex<Reported>);

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Reported {
    #[default]
    Nothing,
    Ending,
    Waiting,
    TooLate,
    Fatal,
}

impl BlockedCalls {
    /// Whether this is worth a line: nothing as serious was reported before.
    fn is_news(&self, report: Reported) -> bool {
        let mut reported = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *reported < report;
        if is_news {
            *reported = report;
        }
        is_news
    }

    /// The calls of `threads` are about to be ended.
    pub fn ending(&self, threads: &str) {
        if self.is_news(Reported::Ending) {
            warn!(
                target: MONITOR,
                "releasing Ray ends calls that are blocked in it: {threads}"
            );
        }
    }

    /// The calls of `threads` keep Ray from being released from `address`, which is possible as long as
    /// there is time `left`. `may_end`: calls may be ended, as far as that is possible.
    pub fn waiting(&self, address: &str, threads: &str, left: Duration, may_end: bool) {
        if !left.is_zero() {
            if self.is_news(Reported::Waiting) {
                warn!(
                    target: MONITOR,
                    "not releasing Ray from {address} yet, calls are blocked in it: {threads}; \
                     trying for another {:.0} s",
                    left.as_secs_f64()
                );
            }
        } else if self.is_news(Reported::TooLate) {
            let hint = if may_end {
                "Only ray.get and ray.wait can be ended, from Ray 2.44 on."
            } else {
                "seedcore_ray.start_monitor(release=\"always\") ends such calls with an exception \
                 instead, and keeps the process."
            };
            error!(
                target: MONITOR,
                "not releasing Ray from {address}: still blocked in it: {threads}. Ray itself ends \
                 this process with exit code 1 in a few seconds, unless the same cluster comes \
                 back. {hint}"
            );
        }
    }

    /// Releasing Ray from `address` would end the process, which is a child of process 1 and whose
    /// raylet has ended (docs/ray-internals.md, "Raylet").
    pub fn fatal(&self, address: &str) {
        if self.is_news(Reported::Fatal) {
            error!(
                target: MONITOR,
                "not releasing Ray from {address}: the raylet of this node has ended and this process \
                 is a child of process 1, which Ray takes for its own orphan and ends in \
                 ray.shutdown(). It lives and cannot be connected again: restart it. A shell between \
                 process 1 and this one prevents that."
            );
        }
    }
}
