//! The tokio runtime: started on first use, never at import; stopped before the interpreter ends.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, mem, thread};

use tokio::runtime::{Builder, Handle, Runtime as Tokio};
use tokio::sync::Notify;

/// How long the end of the process waits for visits and tasks.
const EXIT_BOUND: Duration = Duration::from_millis(500);

#[derive(Default)]
enum State {
    #[default]
    NotStarted,
    Running(Tokio),
    Stopped,
}

/// A runtime that starts when it is first needed.
#[derive(Default)]
pub struct Runtime {
    state: Mutex<State>,
    /// How many [`Visit`]s there are.
    visits: AtomicUsize,
    /// Told by [`Runtime::stop`].
    stopping: Notify,
}

impl Runtime {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a handle to spawn or block on. Starts the runtime and its one thread if need be.
    ///
    /// # Errors
    ///
    /// The runtime was stopped, since no task may outlive the interpreter; or no thread can be
    /// started.
    pub fn handle(&self) -> io::Result<Handle> {
        let mut state = self.state();
        match &*state {
            State::Running(tokio) => return Ok(tokio.handle().clone()),
            State::Stopped => return Err(io::Error::other("the process is ending")),
            State::NotStarted => {}
        }
        let tokio = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("seedcore-ray")
            .enable_all()
            .build()?;
        let handle = tokio.handle().clone();
        *state = State::Running(tokio);
        Ok(handle)
    }

    /// Runs `future` on this thread, which must not be one of the runtime's. After [`Runtime::stop`],
    /// for exit hooks, it does so without any other thread.
    ///
    /// # Errors
    ///
    /// The operating system refuses what a runtime needs.
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

    /// Whether [`Runtime::stop`] was called: the process is ending.
    pub fn is_stopped(&self) -> bool {
        matches!(*self.state(), State::Stopped)
    }

    /// Completes when [`Runtime::stop`] is called; at once when it was.
    pub async fn stopped(&self) {
        // Before the look: told from now on.
        let stopping = self.stopping.notified();
        if !self.is_stopped() {
            stopping.await;
        }
    }

    /// Makes [`Runtime::stop`], and so the end of the interpreter, wait until the visit is dropped.
    ///
    /// Needed while a future lives that is polled in several [`Runtime::block_on`]s: its timers panic
    /// on a stopped runtime. And while a thread with Rust on its stack may have to attach: an
    /// interpreter that has ended meanwhile unwinds the thread, and Rust answers that by ending the
    /// process (`FATAL: exception not rethrown`).
    pub fn visit(&self) -> Visit<'_> {
        self.visits.fetch_add(1, Ordering::AcqRel);
        Visit(&self.visits)
    }

    /// Stops the runtime for good. Waits up to 0.5 s for visits, then as long for tasks. Call it
    /// detached from the interpreter: a task may be about to deliver its result there.
    pub fn stop(&self) {
        let state = mem::replace(&mut *self.state(), State::Stopped);
        self.stopping.notify_waiters();
        // There may be visits before there is a runtime.
        let is_empty = self.wait_for_visits();
        if let State::Running(tokio) = state {
            if is_empty {
                tokio.shutdown_timeout(EXIT_BOUND);
            } else {
                // Left to the end of the process.
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

/// Something that [`Runtime::stop`] waits for.
#[must_use]
pub struct Visit<'a>(&'a AtomicUsize);

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
