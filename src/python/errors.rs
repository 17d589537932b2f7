//! [`ConnectError`] as the exception that Python callers catch.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{import_exception, intern};

use super::ending::survived;
use crate::error::ConnectError;

// Defined in Python: under abi3 below 3.12 a native class cannot extend a built-in exception.
import_exception!(seedcore_ray._errors, RayConnectionError);

/// The exception for `error`.
pub fn to_exception<'py>(py: Python<'py>, error: &ConnectError) -> PyResult<Bound<'py, PyAny>> {
    let details = PyDict::new(py);
    details.set_item(intern!(py, "kind"), error.kind.as_str())?;
    details.set_item(intern!(py, "address"), &error.address)?;
    details.set_item(intern!(py, "hint"), &error.hint)?;
    details.set_item(intern!(py, "attempts"), error.attempts)?;
    let retry_after = error.retry_after.map(|after| after.as_secs_f64());
    details.set_item(intern!(py, "retry_after_s"), retry_after)?;
    survived(|| {
        py.get_type::<RayConnectionError>()
            .call((&error.message,), Some(&details))
    })
}

/// `error`, raised.
pub fn raise(py: Python<'_>, error: &ConnectError) -> PyErr {
    match to_exception(py, error) {
        Ok(exception) => PyErr::from_value(exception),
        Err(broken) => broken,
    }
}
