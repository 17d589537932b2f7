//! The tokio runtime's life: made on first use, never at import; ended on our own terms.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, mem, thread};

use tokio::runtime::{Builder, Handle, Runtime as Tokio};

/// How long the end of the process may wait for tasks that are still on.
const EXIT_BOUND: Duration = Duration::from_millis(500);

/// A runtime that does not exist until somebody needs it.
#[derive(Default)]
pub struct Runtime {
    tokio: Mutex<Option<Tokio>>,
    /// Threads inside [`Runtime::block_on`].
    blocked: AtomicUsize,
}

impl Runtime {
    fn tokio(&self) -> MutexGuard<'_, Option<Tokio>> {
        self.tokio.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle to spawn or block on; makes the runtime and its one thread when there is none.
    pub fn handle(&self) -> io::Result<Handle> {
        let mut tokio = self.tokio();
        if let Some(runtime) = &*tokio {
            return Ok(runtime.handle().clone());
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("seedcore-ray")
            .enable_all()
            .build()?;
        Ok(tokio.insert(runtime).handle().clone())
    }

    /// Runs `future` on this thread, which must not be one of the runtime's.
    pub fn block_on<F: Future>(&self, future: F) -> io::Result<F::Output> {
        self.blocked.fetch_add(1, Ordering::AcqRel);
        let _leave = Leave(&self.blocked);
        Ok(self.handle()?.block_on(future))
    }

    /// Stops the threads, waiting for them no longer than half a second. Call it detached from
    /// the interpreter: a task may be about to deliver its result there.
    pub fn stop(&self) {
        let Some(tokio) = self.tokio().take() else {
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
