//! Waiting on an event loop: the async twin of `wait.rs`, over the same core future.
//!
//! What has to run on a Python thread (asking Ray, launching the flight) runs on the caller's, in
//! [`Attempt::join`], and does not block. Only the wait for the flight is a task on our runtime.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt, JoinError, Runtime};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::error::ConnectError;
use crate::flight::Waiter;
use crate::process::process;
use crate::python::connect::prepare::{self, Prepared};
use crate::python::connect::request::{self, Options, Request};
use crate::python::connection::held;
use crate::python::interop::args::{Asked, Namespace, Text, check_init_kwargs, seconds};
use crate::python::interop::errors::{raise, to_exception};
use crate::python::interop::exit_guard::survived;
use crate::python::logs;
use crate::session::Joined;

/// One caller's wish to be connected, on an event loop.
#[pyclass(frozen, module = "seedcore_ray._core")]
pub struct Attempt {
    request: Request,
    asked: Arc<Asked>,
    end: Instant,
}

/// Begins to connect. None when connected already.
///
/// Raises:
///     RayConnectionError: when it is known at once that it cannot be.
#[pyfunction]
#[pyo3(signature = (ray_address=None, ray_namespace=Namespace::LeftOut, force_reinit=None, connect_timeout_s=None, init_kwargs=None, wait_for_local=false))]
#[allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over owned arguments"
)]
pub fn attempt(
    py: Python<'_>,
    ray_address: Option<Text<'_, '_>>,
    ray_namespace: Namespace<'_, '_>,
    force_reinit: Option<&Bound<'_, PyAny>>,
    connect_timeout_s: Option<&Bound<'_, PyAny>>,
    init_kwargs: Option<&Bound<'_, PyDict>>,
    wait_for_local: bool,
) -> PyResult<Option<Attempt>> {
    let force = force_reinit.map_or(Ok(false), Bound::is_truthy)?;
    let timeout = connect_timeout_s
        .map(|value| seconds(value, "connect_timeout_s"))
        .transpose()?;
    if !force && held::answers(py, ray_address.as_ref(), &ray_namespace) {
        return Ok(None);
    }
    check_init_kwargs(init_kwargs)?;
    let asked = Arc::new(Asked::new(ray_address.as_ref(), &ray_namespace));
    let options = Options {
        force,
        timeout,
        wait_for_local,
        init_kwargs,
        on_loop: true,
    };
    let prepared = survived(|| {
        let prepared = prepare::prepare(py, &asked, &options);
        logs::flush(py);
        prepared
    });
    match prepared? {
        Prepared::Done(Ok(())) => Ok(None),
        Prepared::Done(Err(error)) => Err(raise(py, &error)),
        Prepared::Go(request) => {
            let end = request.budget.end(Instant::now());
            Ok(Some(Attempt {
                request,
                asked,
                end,
            }))
        }
    }
}

#[pymethods]
impl Attempt {
    /// Takes a seat in the flight that is under way, or launches one. None when connected.
    ///
    /// The awaitable gives True when connected, False when it has to be asked again, or the
    /// exception as a value.
    fn join<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.request.join(py) {
            Joined::Connected(_) => Ok(None),
            Joined::Refused(error) => Err(raise(py, &error)),
            Joined::Lead(waiter) => {
                survived(|| {
                    request::launch(py, self.request.init_kwargs.as_ref(), waiter.flight())
                })?;
                self.landing(py, waiter).map(Some)
            }
            Joined::Wait(waiter) => self.landing(py, waiter).map(Some),
            Joined::After(mut turn) => {
                let (end, busy) = (self.end, self.request.busy());
                awaitable(py, async move {
                    if turn.wait(end).await {
                        Answer::Again
                    } else {
                        Answer::Failed(prepare::refuse(busy))
                    }
                })
                .map(Some)
            }
        }
    }

    /// After the connect, on the caller's thread.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        survived(|| {
            let result = prepare::finish(py, &self.asked, self.request.target());
            logs::flush(py);
            result
        })
    }

    /// After a failure, on the caller's thread: lines that were written elsewhere are logged.
    #[allow(clippy::unused_self, reason = "belongs to the attempt for its caller")]
    fn flush(&self, py: Python<'_>) {
        logs::flush(py);
    }
}

impl Attempt {
    fn landing<'py>(&self, py: Python<'py>, mut waiter: Waiter) -> PyResult<Bound<'py, PyAny>> {
        let budget = self.request.budget;
        let trial = self.request.trial.clone();
        awaitable(py, async move {
            match waiter.wait().await {
                Ok(()) => Answer::Connected,
                Err(error) if budget.may_retry(error.kind) => Answer::Again,
                Err(error) => {
                    // The flight may go on without this caller.
                    Request::failed(trial.as_ref(), &error);
                    Answer::Failed(error)
                }
            }
        })
    }
}

/// What the awaitable gives.
enum Answer {
    Connected,
    Again,
    Failed(ConnectError),
}

impl<'py> IntoPyObject<'py> for Answer {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        match self {
            Self::Connected => Ok(PyBool::new(py, true).to_owned().into_any()),
            Self::Again => Ok(PyBool::new(py, false).to_owned().into_any()),
            Self::Failed(error) => to_exception(py, &error),
        }
    }
}

/// `answer` as something to await on the running loop.
pub fn awaitable<T>(
    py: Python<'_>,
    answer: impl Future<Output = T> + Send + 'static,
) -> PyResult<Bound<'_, PyAny>>
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    // Whatever has no runtime says so here, where it can be raised.
    process().runtime.handle()?;
    let event_loop = pyo3_async_runtimes::get_running_loop(py)?.unbind();
    let listener = Bound::new(py, Listener { event_loop })?;
    let locals = TaskLocals::new(listener.into_any());
    survived(|| {
        generic::future_into_py_with_locals::<Bridge, _, T>(py, locals, async { Ok(answer.await) })
    })
}

/// The loop that awaits, as `pyo3-async-runtimes` sees it: one that was closed in the meantime takes
/// its answer in silence, where that crate would print a traceback.
#[pyclass(frozen)]
struct Listener {
    event_loop: Py<PyAny>,
}

#[pymethods]
impl Listener {
    fn create_future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let event_loop = self.event_loop.bind(py);
        event_loop.call_method0(intern!(py, "create_future"))
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn call_soon_threadsafe(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let event_loop = self.event_loop.bind(py);
        survived(|| {
            let name = intern!(py, "call_soon_threadsafe");
            let Err(error) = event_loop.call_method(name, args, kwargs) else {
                return Ok(());
            };
            let is_closed = event_loop.call_method0(intern!(py, "is_closed"))?;
            if is_closed.is_truthy()? {
                Ok(())
            } else {
                Err(error)
            }
        })
    }
}

/// Our runtime, as `pyo3-async-runtimes` wants it. Ours, so that its end is ours as well: results
/// are delivered by attaching to the interpreter, which must not happen while that finalizes.
struct Bridge;

impl Runtime for Bridge {
    type JoinError = Panicked;
    type JoinHandle = Pin<Box<dyn Future<Output = Result<(), Panicked>> + Send>>;

    fn spawn<F>(future: F) -> Self::JoinHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        ended(
            process()
                .runtime
                .handle()
                .map(|handle| handle.spawn(future)),
        )
    }

    fn spawn_blocking<F>(task: F) -> Self::JoinHandle
    where
        F: FnOnce() + Send + 'static,
    {
        ended(
            process()
                .runtime
                .handle()
                .map(|handle| handle.spawn_blocking(task)),
        )
    }
}

/// The end of a task, which runs whether this is awaited or not.
fn ended(task: io::Result<JoinHandle<()>>) -> <Bridge as Runtime>::JoinHandle {
    Box::pin(async {
        match task {
            Ok(task) => task.await.map_err(Panicked),
            // No runtime: `awaitable` has made sure that there is one, so the process is ending.
            Err(_) => Ok(()),
        }
    })
}

impl ContextExt for Bridge {
    fn scope<F, R>(_: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(future)
    }

    fn get_task_locals() -> Option<TaskLocals> {
        None
    }
}

/// A task of ours that panicked.
struct Panicked(tokio::task::JoinError);

impl JoinError for Panicked {
    fn is_panic(&self) -> bool {
        self.0.is_panic()
    }

    fn into_panic(self) -> Box<dyn std::any::Any + Send + 'static> {
        self.0.into_panic()
    }
}
