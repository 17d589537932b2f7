//! The metrics, for a scrape.

use std::collections::BTreeMap;

use pyo3::prelude::*;

use crate::exposition::{self, Family, Sample};
use crate::process::process;
use crate::python::connection::adoption;

/// A family as Python sees it: name, type, help, unit, samples.
type FamilyTuple = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Vec<SampleTuple>,
);

/// A sample as Python sees it: suffix of the name, labels, value.
type SampleTuple = (&'static str, BTreeMap<&'static str, String>, f64);

/// All metrics of this process as OpenMetrics 1.0 text. Reads memory only.
///
/// Returns:
///     Text that ends in `# EOF`; its content type is `seedcore_ray.metrics.CONTENT_TYPE`.
#[pyfunction]
pub fn metrics_text(py: Python<'_>) -> PyResult<String> {
    Ok(exposition::text(&families(py)?))
}

/// All metrics of this process, as tuples of name, type, help, unit and samples; a sample is a
/// suffix of that name, labels, and a value.
#[pyfunction]
pub fn metrics_families(py: Python<'_>) -> PyResult<Vec<FamilyTuple>> {
    Ok(families(py)?.into_iter().map(family_tuple).collect())
}

/// Somebody may have shut Ray down in the meantime: the state has to be true now.
fn families(py: Python<'_>) -> PyResult<Vec<Family>> {
    adoption::sync(py)?;
    let process = process();
    Ok(exposition::families(&process.session, &process.pools.all()))
}

fn family_tuple(family: Family) -> FamilyTuple {
    let samples = family.samples.into_iter().map(sample_tuple).collect();
    (
        family.name,
        family.kind.into(),
        family.help,
        family.unit,
        samples,
    )
}

fn sample_tuple(sample: Sample) -> SampleTuple {
    let labels = sample.labels.into_iter();
    let labels = labels.map(|(name, value)| (name, value.into_owned()));
    (sample.suffix, labels.collect(), sample.value)
}
