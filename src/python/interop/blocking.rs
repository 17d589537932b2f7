//! Blocking waits: detached from the interpreter, interrupted by signals, over at its end.

use std::pin::pin;
use std::time::Duration;

use arc_swap::Guard;
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use tokio::time::sleep;

use crate::platform;
use crate::process::process;

/// How often a blocked thread looks for signals; Ctrl-C has to be honoured within 100 ms.
const TICK: Duration = Duration::from_millis(50);

/// As [`TICK`], on the threads that no signal interrupts: a thousand of them that wait, for a
/// connection of a pool for one, would take half a core otherwise. Never is only right where the
/// main thread of the interpreter is that of the process, which an embedding program may do otherwise.
const SLOW_TICK: Duration = Duration::from_secs(1);

/// Runs `future` on this thread, detached, until it ends.
///
/// # Errors
///
/// What a signal handler raises, `KeyboardInterrupt` included; `SystemExit` for a daemon thread that
/// waits when the process ends.
pub fn block<T: Send>(py: Python<'_>, future: impl Future<Output = T> + Send) -> PyResult<T> {
    block_until(py, future, true)
}

/// As [`block`], for a future that the end of the process completes: its output is returned then.
///
/// # Errors
///
/// What a signal handler raises.
pub fn block_to_end<T: Send>(
    py: Python<'_>,
    future: impl Future<Output = T> + Send,
) -> PyResult<T> {
    block_until(py, future, false)
}

fn block_until<T: Send>(
    py: Python<'_>,
    future: impl Future<Output = T> + Send,
    raises_at_end: bool,
) -> PyResult<T> {
    let process = Guard::into_inner(process());
    let _visit = process.runtime.visit();
    let had_ended = process.runtime.is_stopped();
    let tick = if may_be_main_thread(py) {
        TICK
    } else {
        SLOW_TICK
    };
    let mut future = pin!(future);
    loop {
        let is_stopped = process.runtime.is_stopped();
        let until_a_look = async {
            if is_stopped {
                return sleep(TICK).await;
            }
            tokio::select! {
                () = sleep(tick) => {}
                () = process.runtime.stopped() => {}
            }
        };
        let wait = async {
            tokio::select! {
                biased;
                value = future.as_mut() => Some(value),
                () = until_a_look => None,
            }
        };
        let done = detached(py, || process.runtime.block_on(wait))?;
        let ends = !had_ended && process.runtime.is_stopped();
        if ends && raises_at_end {
            return Err(PySystemExit::new_err("the process is ending"));
        }
        if !ends {
            py.check_signals()?;
        }
        if let Some(value) = done {
            return Ok(value);
        }
    }
}

/// Whether this may be the thread on which signal handlers run.
fn may_be_main_thread(py: Python<'_>) -> bool {
    let known = platform::here().is_first_thread();
    known.unwrap_or_else(|| is_pythons_main_thread(py).unwrap_or(true))
}

/// By Python's own `threading`. Whatever patches that (gevent) decides.
fn is_pythons_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    threading.call_method0("get_ident")?.eq(main)
}

/// Runs `work` detached; once the process is ending, attached: see [`Runtime::visit`].
///
/// [`Runtime::visit`]: crate::runtime::Runtime::visit
pub fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    let process = Guard::into_inner(process());
    let _visit = process.runtime.visit();
    if process.runtime.is_stopped() {
        work()
    } else {
        py.detach(work)
    }
}
