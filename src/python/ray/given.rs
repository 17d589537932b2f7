//! What a caller gives to `ray.init` for the way to Ray: `_credentials`, `_metadata`, `_temp_dir`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::probe::Given;

/// What the arguments of a `ray.init` to come say.
pub fn in_arguments(py: Python<'_>, init_kwargs: Option<&Py<PyDict>>) -> Given {
    let argument = |name| {
        let value = init_kwargs?.bind(py).get_item(name).ok()?;
        value.filter(|value| !value.is_none())
    };
    Given {
        metadata: argument(intern!(py, "_metadata")).map_or_else(Vec::new, |given| headers(&given)),
        has_credentials: argument(intern!(py, "_credentials")).is_some(),
        // What is no path is for Ray to refuse.
        temp_dir: argument(intern!(py, "_temp_dir")).and_then(|given| given.extract().ok()),
    }
}

/// What the connected `worker` keeps of it (2.33 to 2.60); nothing where another Ray does not.
pub fn in_worker(worker: &Bound<'_, PyAny>) -> Given {
    let py = worker.py();
    let kept = |name| {
        let value = worker.getattr(name).ok();
        value.filter(|value| !value.is_none())
    };
    let mut metadata =
        kept(intern!(py, "metadata")).map_or_else(Vec::new, |metadata| headers(&metadata));
    // Each call of ours names the session by itself.
    metadata.retain(|(name, _)| name != "client_id");
    Given {
        metadata,
        has_credentials: kept(intern!(py, "_credentials")).is_some(),
        temp_dir: None,
    }
}

/// The pairs of a list or a tuple. What is none of gRPC's is for Ray to refuse, and an iterator is
/// Ray's to use up.
fn headers(given: &Bound<'_, PyAny>) -> Vec<(String, Vec<u8>)> {
    let is_kept = given.len().is_ok();
    let Some(items) = given.try_iter().ok().filter(|_| is_kept) else {
        return Vec::new();
    };
    items
        .filter_map(|item| {
            let (name, value) = item.ok()?.extract::<(String, Bound<'_, PyAny>)>().ok()?;
            let value = match value.cast::<PyString>() {
                Ok(text) => text.to_string_lossy().into_owned().into_bytes(),
                Err(_) => value.cast::<PyBytes>().ok()?.as_bytes().to_vec(),
            };
            Some((name, value))
        })
        .collect()
}
