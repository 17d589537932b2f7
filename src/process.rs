//! The one global: everything that belongs to this process and not to its parent.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use once_cell::sync::Lazy;

use crate::health::Policy;
use crate::lazy::Makings;
use crate::log_queue::Queue;
use crate::runtime::Runtime;
use crate::session::Session;

/// What a forked child gets anew.
#[derive(Default)]
pub struct Process {
    /// The connection and its flag.
    pub session: Arc<Session>,
    /// Where blocking calls wait and probes run.
    pub runtime: Runtime,
    /// Log lines on their way to Python.
    pub logs: Queue,
    /// Whether and how connections are watched.
    pub policy: Policy,
    /// Who is making which lazy value.
    pub makings: Makings,
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

/// To be called in a child right after a fork: fresh locks, no runtime, nothing connected.
///
/// What was inherited is leaked on purpose. Its threads do not exist here, its locks may be held
/// by them for ever, and dropping a runtime whose threads are gone can hang.
pub fn after_fork(parent_had_ray: bool) {
    let session = if parent_had_ray {
        Session::forked()
    } else {
        Session::default()
    };
    let child = Process {
        session: Arc::new(session),
        // What was said before a server forked its workers holds for each of them.
        policy: PROCESS.load().policy.clone(),
        ..Process::default()
    };
    mem::forget(PROCESS.swap(Arc::new(child)));
}
