//! The one global: the state that belongs to this process and not to its parent.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use once_cell::sync::Lazy;

use crate::health::Policy;
use crate::lazy::BuildTable;
use crate::log_queue::Queue;
use crate::pool::Pools;
use crate::probe;
use crate::runtime::Runtime;
use crate::session::Session;

/// State that a forked child gets anew.
#[derive(Default)]
pub struct Process {
    /// The connection and its flag.
    pub session: Arc<Session>,
    /// The runtime that blocking calls wait on and probes run on.
    pub runtime: Runtime,
    /// Log records for Python's logging.
    pub logs: Queue,
    /// Whether and how connections are watched.
    pub policy: Policy,
    /// The builds of lazy values under way.
    pub builds: BuildTable,
    /// The pools of connections.
    pub pools: Pools,
    asked: AtomicBool,
}

impl Process {
    /// True the first time: no call has asked this process to connect before.
    pub fn is_first_connect(&self) -> bool {
        !self.asked.swap(true, Ordering::Relaxed)
    }
}

#[allow(
    clippy::non_std_lazy_statics,
    reason = "once_cell is among what this project was asked to be built on"
)]
static PROCESS: Lazy<ArcSwap<Process>> = Lazy::new(ArcSwap::default);

/// This process's own state. A lock-free read.
pub fn process() -> Guard<Arc<Process>> {
    PROCESS.load()
}

/// Replaces the inherited state, in a child right after a fork: fresh locks, no runtime, nothing
/// connected.
///
/// The inherited state is leaked on purpose. Its threads do not exist here, they may have held its
/// locks at the fork, and dropping a runtime whose threads are gone can hang.
pub fn after_fork(parent_had_ray: bool) {
    let session = if parent_had_ray {
        Session::forked()
    } else {
        Session::default()
    };
    let child = Process {
        session: Arc::new(session),
        // A monitor policy set before a server forks its workers holds for each of them.
        policy: PROCESS.load().policy.clone(),
        ..Process::default()
    };
    mem::forget(PROCESS.swap(Arc::new(child)));
    probe::after_fork();
}
