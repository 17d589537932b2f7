//! [`ConnectError`] as the exception that Python callers catch.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{import_exception, intern};

use crate::error::ConnectError;
use crate::python::interop::exit_guard::survived;

// Defined in Python: under abi3 below 3.12 a native class cannot extend a built-in exception.
import_exception!(seedcore_ray._errors, RayConnectionError);
import_exception!(seedcore_ray._errors, RayNotReadyError);

/// The exception for `error`.
pub fn to_exception<'py>(py: Python<'py>, error: &ConnectError) -> PyResult<Bound<'py, PyAny>> {
    let details = details(py, error)?;
    survived(|| {
        py.get_type::<RayConnectionError>()
            .call((&error.message,), Some(&details))
    })
}

/// The exception for `what`, or for nothing in particular, that needs the connection that is
/// missing because of `cause`.
pub fn not_ready(py: Python<'_>, what: Option<&str>, cause: &ConnectError) -> PyErr {
    let message = match what {
        Some(what) => format!("{what} is not ready: {}", cause.message),
        None => cause.message.clone(),
    };
    let exception = details(py, cause).and_then(|details| {
        details.set_item(intern!(py, "name"), what)?;
        survived(|| {
            py.get_type::<RayNotReadyError>()
                .call((message,), Some(&details))
        })
    });
    exception.map_or_else(|broken| broken, PyErr::from_value)
}

fn details<'py>(py: Python<'py>, error: &ConnectError) -> PyResult<Bound<'py, PyDict>> {
    let details = PyDict::new(py);
    details.set_item(intern!(py, "kind"), error.kind.as_str())?;
    details.set_item(intern!(py, "address"), &error.address)?;
    details.set_item(intern!(py, "hint"), &error.hint)?;
    details.set_item(intern!(py, "attempts"), error.attempts)?;
    let retry_after = error.retry_after.map(|after| after.as_secs_f64());
    details.set_item(intern!(py, "retry_after_s"), retry_after)?;
    Ok(details)
}

/// `error`, raised as an exception of `class`, one of those of `seedcore_ray._errors`.
pub fn raise_as(py: Python<'_>, class: &str, error: &ConnectError) -> PyErr {
    let exception = details(py, error).and_then(|details| {
        survived(|| {
            let class = py
                .import(intern!(py, "seedcore_ray._errors"))?
                .getattr(class)?;
            class.call((&error.message,), Some(&details))
        })
    });
    exception.map_or_else(|broken| broken, PyErr::from_value)
}

/// `error`, raised.
pub fn raise(py: Python<'_>, error: &ConnectError) -> PyErr {
    match to_exception(py, error) {
        Ok(exception) => PyErr::from_value(exception),
        Err(broken) => broken,
    }
}
