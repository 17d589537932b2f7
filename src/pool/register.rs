//! The pools of a process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Pool;

/// All pools that are in use.
#[derive(Default)]
pub struct Pools {
    all: Mutex<Vec<Weak<Pool>>>,
    open: AtomicUsize,
}

impl Pools {
    /// A pool was opened.
    pub fn add(&self, pool: &Arc<Pool>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(pool));
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A pool was closed, and its last connection was ended.
    pub fn remove(&self, pool: &Arc<Pool>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(pool)));
        self.open.fetch_sub(before - all.len(), Ordering::Relaxed);
    }

    /// Those that are open, in the order in which they were opened.
    pub fn all(&self) -> Vec<Arc<Pool>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether there is one that is open. Takes no lock, for the child right after a fork.
    pub fn is_any_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }
}
