//! Blocking waits: detached from the interpreter, interrupted by signals, over at its end.

use std::pin::pin;
use std::time::Duration;

use arc_swap::Guard;
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use tokio::time::timeout;

use crate::process::process;

/// How often a blocked thread looks for signals; Ctrl-C has to be honoured within 100 ms.
const TICK: Duration = Duration::from_millis(50);

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
    let mut future = pin!(future);
    loop {
        let done = detached(py, || {
            process
                .runtime
                .block_on(async { timeout(TICK, future.as_mut()).await })
        })?;
        let ends = !had_ended && process.runtime.is_stopped();
        if ends && raises_at_end {
            return Err(PySystemExit::new_err("the process is ending"));
        }
        if !ends {
            py.check_signals()?;
        }
        if let Ok(value) = done {
            return Ok(value);
        }
    }
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
