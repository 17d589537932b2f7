//! Waiting on a blocked thread: detached, with Ctrl-C. `awaiting.rs` has the async twin.

use std::pin::pin;
use std::time::Duration;

use arc_swap::Guard;
use pyo3::exceptions::{PyException, PySystemExit};
use pyo3::intern;
use pyo3::prelude::*;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use crate::error::{ConnectError, Kind};
use crate::flight::{Deadline, LANDING, Waiter};
use crate::process::process;
use crate::python::connect::prepare;
use crate::python::connect::request::{self, Request};
use crate::python::connection::held;
use crate::python::ray;
use crate::session::{Closing, Joined, Turn};

/// How often a blocked thread looks for signals; Ctrl-C has to be honoured within 100 ms.
const TICK: Duration = Duration::from_millis(50);

/// The longest that a blocking call may hold a thread whose event loop is running.
const ON_LOOP: Duration = Duration::from_secs(5);

/// Runs `future` on this thread, detached, until it ends or a signal handler raises.
pub fn block<T: Send>(py: Python<'_>, future: impl Future<Output = T> + Send) -> PyResult<T> {
    let process = Guard::into_inner(process());
    let _visit = process.runtime.visit();
    let has_ended = process.runtime.is_stopped();
    let mut future = pin!(future);
    loop {
        let done = detached(py, || {
            process
                .runtime
                .block_on(async { timeout(TICK, future.as_mut()).await })
        })?;
        if !has_ended && process.runtime.is_stopped() {
            return Err(the_end());
        }
        py.check_signals()?;
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

/// Ends a daemon thread that waits when the process ends.
fn the_end() -> PyErr {
    PySystemExit::new_err("the process is ending")
}

/// What a caller may spend.
#[derive(Clone, Copy)]
pub struct Budget {
    pub patience: Deadline,
    /// Bound of everything, `ray.init` included; on a thread that runs an event loop.
    hard: Option<Instant>,
    one_sweep: Duration,
}

impl Budget {
    pub fn new(timeout: Duration, probe_timeout: Duration, on_loop: bool) -> Self {
        let limit = if on_loop {
            // Time for the flight to land, so that the answer is its cause and not our limit.
            timeout.min(ON_LOOP.saturating_sub(LANDING))
        } else {
            timeout
        };
        Self {
            patience: Deadline::of(limit),
            hard: on_loop.then(|| Instant::now() + ON_LOOP),
            one_sweep: probe_timeout,
        }
    }

    /// Whether a flight that ended so, on behalf of somebody with less patience, leaves time to
    /// try again.
    pub fn may_retry(&self, kind: Kind) -> bool {
        kind.is_transient() && self.patience.has_time()
    }

    /// When to stop waiting for other people's work.
    pub fn end(&self, began: Instant) -> Instant {
        let end = match self.patience {
            Deadline::Once => began + self.one_sweep,
            Deadline::At(end) => end,
        };
        self.hard.map_or(end, |hard| hard.min(end))
    }
}

/// Waits for a seat's flight; when nobody else will, on behalf of a blocked thread.
fn wait_for(
    py: Python<'_>,
    waiter: &mut Waiter,
    hard: Option<Instant>,
) -> PyResult<Result<(), ConnectError>> {
    loop {
        let until = Instant::now() + TICK;
        let until = hard.map_or(until, |hard| hard.min(until));
        let done = detached(py, || {
            process()
                .runtime
                .block_on(async { timeout_at(until, waiter.wait()).await })
        });
        py.check_signals()?;
        if let Ok(result) = done? {
            return Ok(result);
        }
        if hard.is_some_and(|hard| Instant::now() >= hard) {
            return Ok(Err(prepare::refuse(on_loop_too_long(waiter))));
        }
    }
}

fn on_loop_too_long(waiter: &Waiter) -> ConnectError {
    let address = waiter.flight().probe_plan.target.address.to_string();
    ConnectError::new(
        Kind::Timeout,
        &address,
        format!(
            "{address} is not connected after {} s, the longest that a call may block a thread \
             whose event loop is running",
            ON_LOOP.as_secs()
        ),
        "Await the async twin instead (seedcore_ray.ensure_ray_initialized_async), or connect \
         before the loop starts. The connect goes on in the background if anybody waits for it.",
    )
}

/// Connects, sharing whatever is under way already.
pub fn connected(py: Python<'_>, request: &Request) -> PyResult<Result<(), ConnectError>> {
    let began = Instant::now();
    let budget = request.budget;
    loop {
        let outcome = match request.join(py) {
            Joined::Connected(_) => return Ok(Ok(())),
            Joined::Refused(error) => return Ok(Err(error)),
            Joined::Lead(mut waiter) => {
                request::launch(py, request.init_kwargs.as_ref(), waiter.flight())?;
                wait_for(py, &mut waiter, budget.hard)?
            }
            Joined::Wait(mut waiter) => wait_for(py, &mut waiter, budget.hard)?,
            Joined::After(mut turn) => {
                if wait_turn(py, &mut turn, budget.end(began))? {
                    continue;
                }
                return Ok(Err(prepare::refuse(request.busy())));
            }
        };
        match outcome {
            // The flight was somebody's with less patience; ours is not over.
            Err(cause) if budget.may_retry(cause.kind) && Instant::now() < budget.end(began) => {}
            outcome => {
                // The flight may go on without this caller, who has to find the cause all the same.
                let trial = request.trial.as_ref();
                return Ok(outcome.inspect_err(|cause| Request::failed(trial, cause)));
            }
        }
    }
}

fn wait_turn(py: Python<'_>, turn: &mut Turn, end: Instant) -> PyResult<bool> {
    loop {
        let until = (Instant::now() + TICK).min(end);
        let has_ended = process().runtime.is_stopped();
        let over = detached(py, || process().runtime.block_on(turn.wait(until)))?;
        if !has_ended && process().runtime.is_stopped() {
            return Err(the_end());
        }
        py.check_signals()?;
        if over || Instant::now() >= end {
            return Ok(over);
        }
    }
}

/// Disconnects, after whatever is under way.
pub fn closed(py: Python<'_>, ray: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let end = Instant::now() + ON_LOOP;
    loop {
        let is_up = ray.is_some_and(|ray| ray::is_initialized(ray).unwrap_or(false));
        match process().session.close(is_up) {
            Closing::Nothing | Closing::OnArrival => return Ok(()),
            Closing::Run => break,
            Closing::After(mut turn) => {
                if !wait_turn(py, &mut turn, end)? {
                    warn!("shutdown_ray() gave up waiting for a connect that was called off");
                    return Ok(());
                }
            }
        }
    }
    held::release();
    // Whatever Ray does here, the next connect must be able to begin.
    let result = ray.map_or(Ok(()), |ray| {
        py.import(intern!(py, "seedcore_ray._ray.sigterm"))?
            .call_method1(intern!(py, "shutdown"), (ray,))
            .map(drop)
    });
    process().session.closed();
    match result {
        Ok(()) => info!("disconnected from Ray"),
        Err(error) if error.is_instance_of::<PyException>(py) => {
            warn!("ray.shutdown() raised, the connection is given up all the same: {error}");
        }
        Err(interrupt) => return Err(interrupt),
    }
    Ok(())
}
