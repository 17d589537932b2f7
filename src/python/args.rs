//! What callers pass in, checked.

use std::borrow::Cow;
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

use crate::config;
use crate::target::NamespaceArg;

/// A `str` argument. Text that is not valid Unicode is kept as far as it can be shown: what it
/// means is for the parser to refuse, not for the conversion.
pub struct Text<'py>(Bound<'py, PyString>);

impl<'py> Text<'py> {
    /// The text.
    pub fn get(&self) -> Cow<'_, str> {
        self.0.to_string_lossy()
    }
}

impl<'py> FromPyObject<'_, 'py> for Text<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.cast::<PyString>() {
            Ok(text) => Ok(Self(text.to_owned())),
            Err(_) => Err(PyTypeError::new_err(format!(
                "expected str or None, not {}",
                object.get_type().name()?
            ))),
        }
    }
}

/// The namespace argument: left out is not the same as `None`, nor as the default spelled out.
pub enum Namespace<'py> {
    LeftOut,
    Anonymous,
    Named(Text<'py>),
}

impl<'py> FromPyObject<'_, 'py> for Namespace<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_none() {
            Ok(Self::Anonymous)
        } else {
            object.extract().map(Self::Named)
        }
    }
}

/// Arguments by value, so that they outlive the call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    pub address: Option<String>,
    pub namespace: AskedNamespace,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AskedNamespace {
    LeftOut,
    Anonymous,
    Named(String),
}

impl Asked {
    pub fn new(address: Option<&Text<'_>>, namespace: &Namespace<'_>) -> Self {
        Self {
            address: address.map(|text| text.get().into_owned()),
            namespace: match namespace {
                Namespace::LeftOut => AskedNamespace::LeftOut,
                Namespace::Anonymous => AskedNamespace::Anonymous,
                Namespace::Named(text) => AskedNamespace::Named(text.get().into_owned()),
            },
        }
    }

    /// What `ray_connector.connect()` asks for: everything from the environment.
    pub const fn nothing() -> Self {
        Self {
            address: None,
            namespace: AskedNamespace::LeftOut,
        }
    }

    /// Whether these are the arguments that were given, without copying them.
    pub fn is(&self, address: Option<&Text<'_>>, namespace: &Namespace<'_>) -> bool {
        let same_namespace = match (&self.namespace, namespace) {
            (AskedNamespace::LeftOut, Namespace::LeftOut)
            | (AskedNamespace::Anonymous, Namespace::Anonymous) => true,
            (AskedNamespace::Named(known), Namespace::Named(text)) => *known == text.get(),
            _ => false,
        };
        same_namespace
            && match (&self.address, address) {
                (None, None) => true,
                (Some(known), Some(text)) => *known == text.get(),
                _ => false,
            }
    }

    pub fn namespace(&self) -> NamespaceArg<'_> {
        match &self.namespace {
            AskedNamespace::LeftOut => NamespaceArg::LeftOut,
            AskedNamespace::Anonymous => NamespaceArg::Anonymous,
            AskedNamespace::Named(name) => NamespaceArg::Named(name),
        }
    }
}

/// A duration in seconds: int or float, finite, not negative.
pub fn seconds(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Duration> {
    let is_number = value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyInt>();
    if !is_number || value.is_instance_of::<PyBool>() {
        return Err(PyTypeError::new_err(format!(
            "{name} must be a number of seconds or None, not {}",
            value.get_type().name()?
        )));
    }
    let seconds = value.extract::<f64>().unwrap_or(f64::INFINITY);
    config::seconds(seconds, name, true).map_err(PyValueError::new_err)
}

/// Names that are ours to give to `ray.init`.
pub fn check_init_kwargs(kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let Some(kwargs) = kwargs else { return Ok(()) };
    for (theirs, ours) in [("address", "ray_address"), ("namespace", "ray_namespace")] {
        if kwargs.contains(theirs)? {
            return Err(PyTypeError::new_err(format!(
                "ensure_ray_initialized() takes {ours}, not {theirs}"
            )));
        }
    }
    Ok(())
}
