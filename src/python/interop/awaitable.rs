//! Rust futures as Python awaitables, on our own runtime.

use std::future::Future;
use std::io;
use std::pin::Pin;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt, JoinError, Runtime};
use tokio::task::JoinHandle;

use super::exit_guard::survived;
use crate::process::process;

/// An awaitable of the running loop that gives what `answer` does.
///
/// # Errors
///
/// Where no event loop runs in this thread, or the process is ending.
pub fn awaitable<T>(
    py: Python<'_>,
    answer: impl Future<Output = T> + Send + 'static,
) -> PyResult<Bound<'_, PyAny>>
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    // A missing runtime is reported here, where it can be raised.
    process().runtime.handle()?;
    let event_loop = pyo3_async_runtimes::get_running_loop(py)?.unbind();
    let listener = Bound::new(py, Listener { event_loop })?;
    let locals = TaskLocals::new(listener.into_any());
    survived(|| {
        generic::future_into_py_with_locals::<Bridge, _, T>(py, locals, async { Ok(answer.await) })
    })
}

/// The awaiting loop, as `pyo3-async-runtimes` sees it. A loop that was closed in the meantime ignores
/// its answer, where that crate would print a traceback.
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

/// Our runtime, as `pyo3-async-runtimes` wants it: results are delivered by attaching to the
/// interpreter, which must not happen while it finalizes, so we stop the runtime ourselves.
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

/// The end of a task, which runs whether or not this is awaited.
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
