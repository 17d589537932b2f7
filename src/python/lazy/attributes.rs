//! The rules that say whose attribute a name on a lazy value is.

use std::cell::Cell;

use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use super::slot::Lazy;
use crate::python::interop::exit_guard::passed_through;

/// Whose attribute a name means.
pub enum Name {
    /// The value's: looking it up makes the value.
    Value,
    /// The Lazy's.
    Own,
    /// The Lazy's, else that of a made value. Python's own tools ask for such names (`__wrapped__`,
    /// `_is_coroutine`, `_repr_html_`) wherever they come across an object.
    Private,
}

impl Name {
    #[inline]
    pub fn of(name: &Bound<'_, PyString>) -> Self {
        match name.to_str() {
            Ok("get" | "aget" | "reset") => Self::Own,
            // Methods of every actor handle, meant to be called: `handle.__ray_ready__.remote()`.
            Ok(name) if name.starts_with('_') && !name.starts_with("__ray_") => Self::Private,
            _ => Self::Value,
        }
    }
}

/// Refuses to set or delete a name that is not the value's.
pub fn check_settable(name: &Bound<'_, PyString>) -> PyResult<()> {
    match Name::of(name) {
        Name::Value => Ok(()),
        Name::Own | Name::Private => Err(PyAttributeError::new_err(format!(
            "{name:?} cannot be set through a Lazy; set it on the value, get()"
        ))),
    }
}

/// Looks up a [`Name::Private`]: on the Lazy, else on the value if there is one.
pub fn private<'py>(
    lazy: &Bound<'py, Lazy>,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = lazy.py();
    match own(lazy, name) {
        Err(missing) if missing.is_instance_of::<PyAttributeError>(py) => {}
        result => return result,
    }
    match lazy.get().current(py) {
        Some(value) => passed_through(|| value.getattr(name)),
        None => Err(PyAttributeError::new_err(format!(
            "{name:?} makes no value, as no name with a leading underscore does, and {} is not made \
             yet: get() makes it",
            lazy.get().name
        ))),
    }
}

/// `object.__getattribute__(lazy, name)`.
pub fn own<'py>(
    lazy: &Bound<'py, Lazy>,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    static GENERIC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = lazy.py();
    let generic = GENERIC.get_or_try_init(py, || {
        let object = py.get_type::<PyAny>();
        object
            .getattr(intern!(py, "__getattribute__"))
            .map(Bound::unbind)
    })?;
    generic.bind(py).call1((lazy, name))
}

thread_local! {
    /// The `AttributeError` of the look-up that Python is about to repeat as `__getattr__`, which
    /// would otherwise replace its message.
    static MISSING: Cell<Option<PyErr>> = const { Cell::new(None) };
}

/// Keeps `error` for [`missing`], if Python will call `__getattr__`.
pub fn remember(py: Python<'_>, error: &PyErr) {
    if error.is_instance_of::<PyAttributeError>(py) {
        MISSING.set(Some(error.clone_ref(py)));
    }
}

/// The error that the failed look-up raised.
pub fn missing(name: &Bound<'_, PyString>) -> PyErr {
    let missing = MISSING.take();
    missing.unwrap_or_else(|| PyAttributeError::new_err(name.to_string()))
}
