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
    Unborn,
    Running(Tokio),
    Stopped,
}

/// A runtime that does not exist until somebody needs it.
#[derive(Default)]
pub struct Runtime {
    life: Mutex<Life>,
    /// Visits that are not over.
    visits: AtomicUsize,
}

impl Runtime {
    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle to spawn or block on; makes the runtime and its one thread when there is none.
    ///
    /// An error once it was stopped: nothing may be spawned that outlives the interpreter.
    pub fn handle(&self) -> io::Result<Handle> {
        let mut life = self.life();
        match &*life {
            Life::Running(tokio) => return Ok(tokio.handle().clone()),
            Life::Stopped => return Err(io::Error::other("the process is ending")),
            Life::Unborn => {}
        }
        let tokio = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("seedcore-ray")
            .enable_all()
            .build()?;
        let handle = tokio.handle().clone();
        *life = Life::Running(tokio);
        Ok(handle)
    }

    /// Runs `future` on this thread, which must not be one of the runtime's.
    ///
    /// Exit hooks may come after [`Runtime::stop`]: they are served without any other thread.
    pub fn block_on<F: Future>(&self, future: F) -> io::Result<F::Output> {
        let _visit = self.visit();
        if let Ok(handle) = self.handle() {
            return Ok(handle.block_on(future));
        }
        let tokio = Builder::new_current_thread().enable_all().build()?;
        let output = tokio.block_on(future);
        tokio.shutdown_background();
        Ok(output)
    }

    /// Whether the process is ending: see [`Runtime::stop`].
    pub fn is_stopped(&self) -> bool {
        matches!(*self.life(), Life::Stopped)
    }

    /// Keeps the runtime, and the interpreter, until it is dropped.
    ///
    /// For as long as a future lives that is polled in several [`Runtime::block_on`]s: its timers
    /// panic on a runtime that was stopped. And for as long as a thread that has Rust on its stack
    /// may have to attach: an interpreter that has ended meanwhile unwinds the thread, and Rust
    /// answers that by ending the process (`FATAL: exception not rethrown`).
    pub fn visit(&self) -> Visit<'_> {
        self.visits.fetch_add(1, Ordering::AcqRel);
        Visit(&self.visits)
    }

    /// Stops the threads for good, waiting for them no longer than half a second. Call it detached
    /// from the interpreter: a task may be about to deliver its result there.
    pub fn stop(&self) {
        let life = mem::replace(&mut *self.life(), Life::Stopped);
        // Visitors may be there before there is a runtime.
        let is_empty = self.wait_for_visits();
        if let Life::Running(tokio) = life {
            if is_empty {
                tokio.shutdown_timeout(EXIT_BOUND);
            } else {
                // Better leave it all to the end of the process.
                mem::forget(tokio);
            }
        }
    }

    fn wait_for_visits(&self) -> bool {
        let end = Instant::now() + EXIT_BOUND;
        while self.visits.load(Ordering::Acquire) > 0 {
            if Instant::now() > end {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

/// A stay that [`Runtime::stop`] waits for.
#[must_use]
pub struct Visit<'a>(&'a AtomicUsize);

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
