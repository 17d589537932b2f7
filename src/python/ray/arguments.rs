//! The caller's arguments of `ray.init`: `seedcore_ray/_ray/arguments.py`.

use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::flight::EnvironmentSetup;

/// A copy that neither the caller nor Ray changes afterwards.
pub fn copied<'py>(kwargs: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    let py = kwargs.py();
    let copied = module(py)?.call_method1(intern!(py, "copied"), (kwargs,))?;
    Ok(copied.cast_into()?)
}

/// What of them takes long, and Ray's own bound for that. What cannot be read is for Ray to refuse.
pub fn setup(kwargs: Option<&Bound<'_, PyDict>>) -> Option<EnvironmentSetup> {
    let kwargs = kwargs?;
    let py = kwargs.py();
    let setup = module(py).and_then(|ours| ours.call_method1(intern!(py, "setup"), (kwargs,)));
    let (fields, seconds): (String, f64) = setup.ok()?.extract::<Option<_>>().ok()??;
    Some(EnvironmentSetup {
        fields: fields.into(),
        bound: Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
    })
}

/// What of `asked` a connection that was made with `made_with` does not have, in words; unless it is in
/// `told`, where it is then.
pub fn unmet(
    made_with: Option<&Bound<'_, PyDict>>,
    asked: &Bound<'_, PyDict>,
    told: &Bound<'_, PyList>,
) -> PyResult<Option<String>> {
    let py = asked.py();
    let unmet = module(py)?.call_method1(intern!(py, "unmet"), (made_with, asked, told))?;
    unmet.extract()
}

fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import(intern!(py, "seedcore_ray._ray.arguments"))
}
