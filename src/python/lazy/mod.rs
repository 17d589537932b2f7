//! `lazy` and the transparent proxy that it returns.
//!
//! A look-up on a made value reads a pointer and two or three of Ray's attributes before the look-up
//! itself, and takes no lock.

mod attributes;
pub mod build;
mod slot;

use arc_swap::ArcSwapOption;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::lazy::LazyId;
use crate::python::interop::exit_guard::{passed_through, survived};
use attributes::{Name, check_settable};
pub use slot::Lazy;

/// Declare what must exist only after Ray does: it is made on first use.
///
/// Declaring it calls nothing and needs no connection, so it may stand where modules are imported.
/// The first use while connected makes the value, once, however many threads come at once; the
/// first use after a reconnect makes it anew, since handles of another connection are dead. A use
/// never connects: without a connection it raises.
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
        id: LazyId::next(),
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

/// The full name of a class or a function, such as `app.managers.Manager`; else that of the class.
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

/// Calls `body` with the value, which is made if need be.
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
    let value = survived(|| {
        py.import(intern!(py, "seedcore_ray._lazy"))?
            .call_method1(intern!(py, "get"), (lazy,))
    })?;
    passed_through(|| body(&value))
}

#[pymethods]
impl Lazy {
    /// The value itself: for `isinstance`, for code that needs its type, for `with`.
    ///
    /// Waits while another thread makes it; Ctrl-C ends the wait.
    ///
    /// Raises:
    ///     RayNotReadyError: there is no connection to Ray at the moment.
    ///     RuntimeError: its own factory asks for it, or the factory is async and `aget` has not
    ///         been awaited.
    ///     Exception: what the factory raised. Each caller that waited for it tries the factory in
    ///         turn.
    fn get<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        of_value(slf, |value| Ok(value.clone()))
    }

    /// The value, without blocking the event loop: a plain factory is called on a thread, an async
    /// one is awaited. Raises as `get` does.
    #[getter]
    fn aget<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        // A Python method, so that `inspect` sees an `async def`.
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
            Name::Own => attributes::own(slf, name),
            Name::Private => attributes::private(slf, name),
        }
        .inspect_err(|error| attributes::remember(slf.py(), error))
    }

    /// Called by Python after an AttributeError, which it raises again.
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

    /// The Lazy itself: it is unique, as a module or a function is.
    fn __copy__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    /// The Lazy itself: it is unique, as a module or a function is.
    fn __deepcopy__<'py>(slf: &Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf.clone()
    }

    /// Raises: its connection belongs to this process.
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
