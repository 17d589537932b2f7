//! Single-flight initialisation of lazy values, with deadlock detection across threads and tasks.
//!
//! [`BuildTable::enter`] lets one caller at a time build a value. The others wait until that build
//! has ended, with a value or without, and enter again. Every decision is made under one small
//! lock; nothing is built under it.

use std::collections::HashMap;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use tokio::sync::watch;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Identifies a lazy value. Unique in this process and its forked children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LazyId(u64);

impl LazyId {
    /// An id that no other value has.
    pub fn next() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Identifies one build of a value. Unique in this process and its forked children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildId(pub u64);

/// A caller of [`BuildTable::enter`].
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The builds whose factories have led to this call, the outermost first.
    pub inside: &'a [BuildId],
    /// Whether waiting blocks the thread, and with it every task on it.
    pub blocks: bool,
}

/// The builds under way in a process.
#[derive(Debug, Default)]
pub struct BuildTable(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    builds: HashMap<LazyId, Build>,
    /// Which build waits for which value.
    waits: Vec<(BuildId, LazyId)>,
}

#[derive(Debug)]
struct Build {
    id: BuildId,
    thread: ThreadId,
    /// Dropped when the build ends, which wakes its [`BuildWait`]s.
    ended: watch::Sender<()>,
}

/// What a caller has to do to get the value.
#[derive(Debug)]
#[must_use]
pub enum Entry {
    /// Build it.
    Build(BuildGuard),
    /// Wait for another caller's build, then enter again.
    Wait(BuildWait),
    /// Nothing: the caller would wait for itself.
    Deadlock,
}

impl BuildTable {
    /// Enters the build of `value`, or the wait for the one under way.
    pub fn enter(&self, value: LazyId, caller: Caller<'_>) -> Entry {
        let mut inner = lock(&self.0);
        let table = Handle {
            inner: Arc::clone(&self.0),
            pid: process::id(),
        };
        let Some(build) = inner.builds.get(&value) else {
            let id = BuildId(NEXT.fetch_add(1, Ordering::Relaxed));
            let build = Build {
                id,
                thread: thread::current().id(),
                ended: watch::channel(()).0,
            };
            inner.builds.insert(value, build);
            return Entry::Build(BuildGuard { table, value, id });
        };
        let ended = build.ended.subscribe();
        if inner.depends_on(value, caller) {
            return Entry::Deadlock;
        }
        let waits: Vec<_> = caller.inside.iter().map(|build| (*build, value)).collect();
        inner.waits.extend(&waits);
        Entry::Wait(BuildWait {
            table,
            ended,
            waits,
        })
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    /// Whether the build of `value` cannot end before `caller` has gone on.
    fn depends_on(&self, value: LazyId, caller: Caller<'_>) -> bool {
        let here = thread::current().id();
        let mut needed = vec![value];
        let mut next = 0;
        while let Some(value) = needed.get(next) {
            next += 1;
            let Some(build) = self.builds.get(value) else {
                continue;
            };
            if caller.inside.contains(&build.id) || (caller.blocks && build.thread == here) {
                return true;
            }
            for (_, value) in self.waits.iter().filter(|(by, _)| *by == build.id) {
                if !needed.contains(value) {
                    needed.push(*value);
                }
            }
        }
        false
    }
}

/// The table that a guard has an entry in, and the process that it was made in.
#[derive(Debug)]
struct Handle {
    inner: Arc<Mutex<Inner>>,
    pid: u32,
}

impl Handle {
    /// The table, or `None` in a forked child: a thread that does not exist there may have held the
    /// lock at the fork. The child has a table of its own, without this entry.
    fn inner(&self) -> Option<MutexGuard<'_, Inner>> {
        (self.pid == process::id()).then(|| lock(&self.inner))
    }
}

/// The right to build one value. Dropping it ends the build.
#[derive(Debug)]
#[must_use]
pub struct BuildGuard {
    table: Handle,
    value: LazyId,
    id: BuildId,
}

impl BuildGuard {
    /// The id of this build, for the [`Caller::inside`] of what its factory calls.
    pub const fn id(&self) -> BuildId {
        self.id
    }
}

impl Drop for BuildGuard {
    fn drop(&mut self) {
        if let Some(mut inner) = self.table.inner() {
            inner.builds.remove(&self.value);
        }
    }
}

/// The wait for another caller's build.
#[derive(Debug)]
#[must_use]
pub struct BuildWait {
    table: Handle,
    ended: watch::Receiver<()>,
    waits: Vec<(BuildId, LazyId)>,
}

impl BuildWait {
    /// Waits until the build has ended.
    pub async fn wait(mut self) {
        // Nothing is ever sent: the error says that the sender was dropped.
        while self.ended.changed().await.is_ok() {}
    }
}

impl Drop for BuildWait {
    fn drop(&mut self) {
        let Some(mut inner) = self.table.inner() else {
            return;
        };
        for wait in &self.waits {
            if let Some(at) = inner.waits.iter().position(|known| known == wait) {
                inner.waits.swap_remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_in_a_forked_child_takes_no_lock() {
        let table = BuildTable::default();
        let caller = Caller {
            inside: &[],
            blocks: false,
        };
        let value = LazyId::next();
        let (Entry::Build(mut guard), Entry::Wait(mut wait)) =
            (table.enter(value, caller), table.enter(value, caller))
        else {
            panic!("one builds, the other waits");
        };
        (guard.table.pid, wait.table.pid) = (0, 0);
        let held_by_a_thread_of_the_parent = lock(&table.0);
        drop((guard, wait)); // would wait for itself
        drop(held_by_a_thread_of_the_parent);
    }
}
