//! Who is making what: one maker for each lazy value, and nobody who waits for themselves.
//!
//! A caller that has to wait is let go when the making is over, however it ended, and looks again.
//! Everything is decided under one small lock; nothing is made under it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use tokio::sync::watch;

use crate::process::process;

/// One lazy value, or one making of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

impl Ticket {
    /// A new one. Unique in this process and its forked children.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The makings that this caller is inside of, the outermost first.
    pub inside: &'a [Ticket],
    /// Whether waiting blocks the thread, and with it all that runs on it.
    pub blocks: bool,
}

/// The makings of this process.
#[derive(Debug, Default)]
pub struct Makings {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By the value that is made.
    under_way: HashMap<Ticket, Making>,
    /// Which making waits for which value.
    waits: Vec<(Ticket, Ticket)>,
}

#[derive(Debug)]
struct Making {
    ticket: Ticket,
    /// The thread that the maker is on.
    thread: ThreadId,
    /// Dropped at the end of it.
    over: watch::Sender<()>,
}

/// What a caller does next.
#[derive(Debug)]
#[must_use]
pub enum Entry {
    /// Make the value.
    Mine(Turn),
    /// Somebody else is at it: wait, then ask again.
    Others(Over),
    /// The caller would wait for itself.
    Circular,
}

impl Makings {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the turn to make `value`.
    pub fn enter(&self, value: Ticket, caller: Caller<'_>) -> Entry {
        let mut inner = self.inner();
        let Some(making) = inner.under_way.get(&value) else {
            let ticket = Ticket::next();
            let making = Making {
                ticket,
                thread: thread::current().id(),
                over: watch::channel(()).0,
            };
            inner.under_way.insert(value, making);
            return Entry::Mine(Turn { value, ticket });
        };
        let over = making.over.subscribe();
        if inner.depends_on(value, caller) {
            return Entry::Circular;
        }
        let waits = caller.inside.iter().map(|making| (*making, value));
        inner.waits.extend(waits.clone());
        Entry::Others(Over {
            over,
            waits: waits.collect(),
        })
    }
}

impl Inner {
    /// Whether `value` cannot be made before `caller` has gone on.
    fn depends_on(&self, value: Ticket, caller: Caller<'_>) -> bool {
        let here = thread::current().id();
        let mut needed = vec![value];
        let mut next = 0;
        while let Some(making) = needed.get(next).map(|value| self.under_way.get(value)) {
            next += 1;
            let Some(making) = making else { continue };
            if caller.inside.contains(&making.ticket) || (caller.blocks && making.thread == here) {
                return true;
            }
            for (_, value) in self.waits.iter().filter(|(by, _)| *by == making.ticket) {
                if !needed.contains(value) {
                    needed.push(*value);
                }
            }
        }
        false
    }
}

/// The right to make one value, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Turn {
    value: Ticket,
    ticket: Ticket,
}

impl Turn {
    /// This making, for what it calls: see [`Caller::inside`].
    pub const fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // The process's own, which in a forked child is not the one that gave the turn.
        let process = process();
        let mut inner = process.makings.inner();
        if matches!(inner.under_way.get(&self.value), Some(making) if making.ticket == self.ticket)
        {
            inner.under_way.remove(&self.value);
        }
    }
}

/// The end of somebody else's making.
#[derive(Debug)]
#[must_use]
pub struct Over {
    over: watch::Receiver<()>,
    waits: Vec<(Ticket, Ticket)>,
}

impl Over {
    /// Waits for it.
    pub async fn wait(mut self) {
        // Nothing is ever sent: an error, which says that the sender is gone, ends it.
        while self.over.changed().await.is_ok() {}
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        let process = process();
        let mut inner = process.makings.inner();
        for wait in &self.waits {
            if let Some(at) = inner.waits.iter().position(|known| known == wait) {
                inner.waits.swap_remove(at);
            }
        }
    }
}
