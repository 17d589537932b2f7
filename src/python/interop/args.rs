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
pub struct Text<'a, 'py>(Borrowed<'a, 'py, PyString>);

impl Text<'_, '_> {
    /// The text.
    pub fn get(&self) -> Cow<'_, str> {
        self.0.to_string_lossy()
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Text<'a, 'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match object.cast::<PyString>() {
            Ok(text) => Ok(Self(text)),
            Err(_) => Err(PyTypeError::new_err(format!(
                "ray_address and ray_namespace take a str or None, not {}",
                object.get_type().name()?
            ))),
        }
    }
}

/// The namespace argument: left out is not the same as `None`, nor as the default spelled out.
pub enum Namespace<'a, 'py> {
    LeftOut,
    Anonymous,
    Named(Text<'a, 'py>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Namespace<'a, 'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if object.is_none() {
            Ok(Self::Anonymous)
        } else {
            object.extract().map(Self::Named)
        }
    }
}

/// A text argument that outlives its call.
pub struct Word {
    text: String,
    /// A plain `str`: dropping it runs no code.
    object: Option<Py<PyString>>,
}

impl Word {
    fn new(text: &Text<'_, '_>) -> Self {
        Self {
            text: text.get().into_owned(),
            object: text
                .0
                .is_exact_instance_of::<PyString>()
                .then(|| text.0.to_owned().unbind()),
        }
    }

    /// The same text? Call sites mostly pass the very same object each time.
    #[inline]
    fn is(&self, text: &Text<'_, '_>) -> bool {
        let is_same = self.object.as_ref().is_some_and(|object| text.0.is(object));
        is_same || self.text == text.get()
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// What a call asks for, by value, so that it outlives the call.
#[derive(PartialEq)]
pub struct Asked {
    address: Option<Word>,
    namespace: AskedNamespace,
}

#[derive(PartialEq)]
enum AskedNamespace {
    LeftOut,
    Anonymous,
    Named(Word),
}

impl Asked {
    pub fn new(address: Option<&Text<'_, '_>>, namespace: &Namespace<'_, '_>) -> Self {
        Self {
            address: address.map(Word::new),
            namespace: match namespace {
                Namespace::LeftOut => AskedNamespace::LeftOut,
                Namespace::Anonymous => AskedNamespace::Anonymous,
                Namespace::Named(text) => AskedNamespace::Named(Word::new(text)),
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

    /// Whether neither an address nor a namespace was given.
    pub const fn is_nothing(&self) -> bool {
        self.address.is_none() && matches!(self.namespace, AskedNamespace::LeftOut)
    }

    /// Whether these are the arguments that were given, without copying them.
    #[inline]
    pub fn is(&self, address: Option<&Text<'_, '_>>, namespace: &Namespace<'_, '_>) -> bool {
        let same_address = match (&self.address, address) {
            (None, None) => true,
            (Some(known), Some(text)) => known.is(text),
            _ => false,
        };
        same_address
            && match (&self.namespace, namespace) {
                (AskedNamespace::LeftOut, Namespace::LeftOut)
                | (AskedNamespace::Anonymous, Namespace::Anonymous) => true,
                (AskedNamespace::Named(known), Namespace::Named(text)) => known.is(text),
                _ => false,
            }
    }

    pub fn address(&self) -> Option<&str> {
        self.address.as_ref().map(|word| word.text.as_str())
    }

    pub fn namespace(&self) -> NamespaceArg<'_> {
        match &self.namespace {
            AskedNamespace::LeftOut => NamespaceArg::LeftOut,
            AskedNamespace::Anonymous => NamespaceArg::Anonymous,
            AskedNamespace::Named(name) => NamespaceArg::Named(&name.text),
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
                "a connect takes {ours}, not {theirs}"
            )));
        }
    }
    Ok(())
}
