//! The tokio runtime's life: made on first use, never at import; ended on our own terms.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, mem, thread};

use tokio::runtime::{Builder, Handle, Runtime as Tokio};

/// How long the end of the process may wait for tasks that are still on.
const EXIT_BOUND: Duration = Duration::from_millis(500);

#[derive(Default)]
enum Life {
    #[default]
    NotYet,
    Running(Tokio),
    Over,
}

/// A runtime that does not exist until somebody needs it.
#[derive(Default)]
pub struct Runtime {
    tokio: Mutex<Life>,
    /// Threads inside [`Runtime::block_on`].
    blocked: AtomicUsize,
}

impl Runtime {
    fn tokio(&self) -> MutexGuard<'_, Life> {
        self.tokio.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle to spawn on; makes the runtime and its one thread when there is none. An error
    /// after [`Runtime::stop`]: no thread of ours may come up while the interpreter ends.
    pub fn handle(&self) -> io::Result<Handle> {
        self.running()?
            .ok_or_else(|| io::Error::other("the process is ending"))
    }

    /// None after [`Runtime::stop`].
    fn running(&self) -> io::Result<Option<Handle>> {
        let mut life = self.tokio();
        if matches!(*life, Life::NotYet) {
            *life = Life::Running(
                Builder::new_multi_thread()
                    .worker_threads(1)
                    .thread_name("seedcore-ray")
                    .enable_all()
                    .build()?,
            );
        }
        Ok(match &*life {
            Life::Running(tokio) => Some(tokio.handle().clone()),
            _ => None,
        })
    }

    /// Runs `future` on this thread, which must not be one of the runtime's. Works after
    /// [`Runtime::stop`] too, without any other thread: exit hooks may still ask.
    pub fn block_on<F: Future>(&self, future: F) -> io::Result<F::Output> {
        self.blocked.fetch_add(1, Ordering::AcqRel);
        let _leave = Leave(&self.blocked);
        match self.running()? {
            Some(handle) => Ok(handle.block_on(future)),
            None => Ok(Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(future)),
        }
    }

    /// Stops the threads for good, waiting for them no longer than half a second. Call it detached
    /// from the interpreter: a task may be about to deliver its result there.
    pub fn stop(&self) {
        let Life::Running(tokio) = mem::replace(&mut *self.tokio(), Life::Over) else {
            return;
        };
        let end = Instant::now() + EXIT_BOUND;
        while self.blocked.load(Ordering::Acquire) > 0 {
            if Instant::now() > end {
                // Timers of a stopped runtime panic where they are awaited. Better leave it all
                // to the end of the process.
                mem::forget(tokio);
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        tokio.shutdown_timeout(EXIT_BOUND);
    }
}

struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
