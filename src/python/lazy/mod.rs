//! What must exist only after Ray does: a stand-in that makes it on first use (`Lazy`).
//!
//! A look-up on a made value is a pointer, two or three of Ray's attributes and the look-up itself,
//! no lock. How a value comes to be is in `making.rs`.

mod attributes;
pub mod build;

use std::mem;
use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::lazy::Ticket;
use crate::process::{Process, process};
use crate::python::connection::held::HeldConnection;
use crate::python::interop::exit_guard::{passed_through, survived};
use attributes::{Name, check_settable, own, private};

/// Declare what must exist only after Ray does: it is made on first use.
///
/// Declaring it calls nothing and needs no connection, so it may stand where modules are imported.
/// The first use while connected makes the value, once, however many threads come at once; the first
/// use after a reconnect makes it anew, since handles of another connection are dead. A use never
/// connects: without a connection it raises.
///
/// Args:
///     factory: makes the value, without arguments; a class, a function, or an `async def`, whose
///         value the first use has to await (`aget`).
///     name: what errors and logs call it. Default: the factory's own name.
///     on_close: called with the old value when a new one is about to be made, and by `reset`. What
///         it raises is logged.
///
/// Returns:
///     A `Lazy`, to be used as if it were the value.
///
/// Raises:
///     TypeError: `factory` or `on_close` cannot be called.
#[pyfunction]
#[pyo3(signature = (factory, name=None, *, on_close=None))]
pub fn lazy(
    factory: Bound<'_, PyAny>,
    name: Option<String>,
    on_close: Option<Bound<'_, PyAny>>,
) -> PyResult<Lazy> {
    check_callable(&factory, "factory")?;
    if let Some(on_close) = &on_close {
        check_callable(on_close, "on_close")?;
    }
    Ok(Lazy {
        name: name.unwrap_or_else(|| name_of(&factory)),
        factory: factory.unbind(),
        on_close: on_close.map(Bound::unbind),
        ticket: Ticket::next(),
        made: ArcSwapOption::empty(),
    })
}

fn check_callable(object: &Bound<'_, PyAny>, role: &str) -> PyResult<()> {
    if object.is_callable() {
        return Ok(());
    }
    let found = object.get_type().qualname()?;
    Err(PyTypeError::new_err(format!(
        "{role} must be callable without being called here, not {found}: lazy(Manager), not \
         lazy(Manager())"
    )))
}

/// `app.managers.Manager`, for a class or a function; for what has no name, that of its class.
fn name_of(factory: &Bound<'_, PyAny>) -> String {
    let text = |object: &Bound<'_, PyAny>, name: &str| object.getattr(name)?.extract::<String>();
    let full_name = |object: &Bound<'_, PyAny>| {
        let name = text(object, "__qualname__")?;
        let module = text(object, "__module__");
        PyResult::Ok(module.map_or_else(|_| name.clone(), |module| format!("{module}.{name}")))
    };
    let wrapped = || full_name(&factory.getattr("func")?); // functools.partial
    full_name(factory)
        .or_else(|_| wrapped())
        .or_else(|_| full_name(factory.get_type().as_any()))
        .unwrap_or_else(|_| "a lazy".into())
}

/// What must exist only after Ray does: made on first use, made anew after a reconnect.
///
/// Attributes, calls and items are those of the value, but for `get`, `aget` and `reset`. A name with
/// a leading underscore is looked up on a made value only, so that tools which look at everything
/// make nothing. Equality and hash are the Lazy's own, so that they outlast the value.
#[pyclass(frozen, generic, weakref, module = "seedcore_ray._core")]
pub struct Lazy {
    name: String,
    factory: Py<PyAny>,
    on_close: Option<Py<PyAny>>,
    ticket: Ticket,
    made: ArcSwapOption<Made>,
}

/// A value, and all that it depends on.
struct Made {
    value: Py<PyAny>,
    connection: Arc<HeldConnection>,
    /// A forked child must not touch its parent's.
    process: Arc<Process>,
}

impl Lazy {
    /// What errors and logs call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells it from all others.
    pub const fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Calls the factory.
    pub fn produce<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.factory.bind(py).call0()
    }

    /// The value, where there is one that works.
    pub fn current<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let made = self.made.load();
        let made = made.as_ref()?;
        let stands = made.connection.stands(py);
        stands.then(|| made.value.bind(py).clone())
    }

    /// Keeps a value that was made on `connection`.
    pub fn keep(&self, value: Bound<'_, PyAny>, connection: Arc<HeldConnection>) {
        self.made.store(Some(Arc::new(Made {
            value: value.unbind(),
            connection,
            process: Guard::into_inner(process()),
        })));
    }

    /// Parts with the value, if there is one.
    pub fn close(&self, py: Python<'_>) -> PyResult<()> {
        let Some(made) = self.made.swap(None) else {
            return Ok(());
        };
        if !Arc::ptr_eq(&made.process, &process()) {
            // Ray's handles reach for a core that is not there.
            mem::forget(made);
            return Ok(());
        }
        self.part_with(made.value.bind(py))
    }

    /// Hands `value` to `on_close`, which can break nothing.
    pub fn part_with(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(on_close) = &self.on_close else {
            return Ok(());
        };
        let py = value.py();
        survived(|| {
            py.import(intern!(py, "seedcore_ray._lazy"))?
                .call_method1(intern!(py, "close"), (&self.name, on_close, value))
                .map(drop)
        })
    }
}

/// Does it with the value, made if need be.
#[inline]
fn of_value<'py, T>(
    lazy: &Bound<'py, Lazy>,
    body: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<T> {
    let py = lazy.py();
    if let Some(made) = &*lazy.get().made.load()
        && made.connection.stands(py)
    {
        return passed_through(|| body(made.value.bind(py)));
    }
    let value = survived(|| build::make(lazy))?;
    passed_through(|| body(&value))
}

#[pymethods]
impl Lazy {
    /// The value itself: for `isinstance`, for what wants its type, for `with`.
    ///
    /// Waits while another thread makes it; Ctrl-C works.
    ///
    /// Raises:
    ///     RayNotReadyError: there is no connection to Ray at the moment.
    ///     RuntimeError: its own factory asks for it, or the factory is async and `aget` has not
    ///         been awaited.
    ///     Exception: what the factory raised. Whoever waited for it tries the factory in turn.
    fn get<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        of_value(slf, |value| Ok(value.clone()))
    }

    /// The value, without blocking the event loop: a plain factory is called on a thread, an async
    /// one is awaited. Raises as `get` does.
    #[getter]
    fn aget<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        // A method of Python's own, so that whoever asks sees that it is an `async def`.
        py.import(intern!(py, "seedcore_ray._lazy"))?
            .getattr(intern!(py, "aget"))?
            .call_method1(intern!(py, "__get__"), (slf,))
    }

    /// Forget the value, which goes to `on_close`: the next use makes a new one.
    fn reset(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().close(slf.py())
    }

    fn __getattribute__<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match Name::of(name) {
            Name::Value => of_value(slf, |value| value.getattr(name)),
            Name::Own => own(slf, name),
            Name::Private => own(slf, name).or_else(|missing| private(slf, name, missing)),
        }
        .inspect_err(|error| attributes::remember(slf.py(), error))
    }

    /// Python's second try, after an AttributeError: it stays the first one's.
    #[allow(clippy::unused_self, reason = "a slot's signature")]
    fn __getattr__(&self, name: &Bound<'_, PyString>) -> PyResult<()> {
        Err(attributes::missing(name))
    }

    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        to: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        check_settable(name)?;
        of_value(slf, |value| value.setattr(name, to))
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        check_settable(name)?;
        of_value(slf, |value| value.delattr(name))
    }

    /// Never makes the value.
    fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        let names = slf.get_type().dir()?;
        if let Some(value) = slf.get().current(py) {
            for name in value.dir()? {
                if !names.contains(&name)? {
                    names.append(name)?;
                }
            }
        }
        Ok(names)
    }

    /// Never makes the value.
    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let lazy = slf.get();
        let state = match lazy.current(slf.py()) {
            Some(value) => value.repr()?.to_string(),
            None if lazy.made.load().is_some() => "to be made anew".into(),
            None => "not made".into(),
        };
        Ok(format!("<Lazy {}: {state}>", lazy.name))
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        of_value(slf, |value| value.call(args, kwargs))
    }

    fn __bool__(slf: &Bound<'_, Self>) -> PyResult<bool> {
        of_value(slf, PyAnyMethods::is_truthy)
    }

    fn __len__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        of_value(slf, PyAnyMethods::len)
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        of_value(slf, PyAnyMethods::try_iter).map(Bound::into_any)
    }

    fn __contains__(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        of_value(slf, |value| value.contains(item))
    }

    fn __getitem__<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        of_value(slf, |value| value.get_item(key))
    }

    fn __setitem__(
        slf: &Bound<'_, Self>,
        key: &Bound<'_, PyAny>,
        item: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        of_value(slf, |value| value.set_item(key, item))
    }

    fn __delitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        of_value(slf, |value| value.del_item(key))
    }

    /// A Lazy is one of a kind, as a module or a function is.
    fn __copy__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    /// A Lazy is one of a kind, as a module or a function is.
    fn __deepcopy__<'py>(slf: &Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf.clone()
    }

    /// Raises: its connection is this process's.
    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyTypeError::new_err(format!(
            "cannot pickle the Lazy {}: it belongs to this process's connection to Ray. Pass the \
             value, .get(), to a task; or import it there from the module that declares it",
            self.name
        )))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.factory)?;
        visit.call(&self.on_close)?;
        match &*self.made.load() {
            Some(made) => visit.call(&made.value),
            None => Ok(()),
        }
    }
}
