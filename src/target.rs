//! Which address and namespace are meant, where each came from, and what else may be tried.

use crate::address::RayAddress;
use crate::config::{Env, Kubernetes};
use crate::error::ConnectError;

/// Where a value came from; shown in the connect log line and in `connection()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The caller's argument.
    Argument,
    /// An environment variable, by name.
    Env(&'static str),
    /// Our default.
    Default,
}

impl Source {
    /// `argument`, the variable's name, or `default`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Argument => "argument",
            Self::Env(name) => name,
            Self::Default => "default",
        }
    }
}

/// A namespace argument: left out is not the same as `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceArg<'a> {
    /// Not given: environment, else `seedcore-dev`.
    LeftOut,
    /// `None` was passed: environment, else Ray's anonymous namespace.
    Anonymous,
    /// A name.
    Named(&'a str),
}

/// What a call asks for. Two calls with equal targets share one connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address.
    pub address: RayAddress,
    /// Where it came from.
    pub address_source: Source,
    /// `None` is Ray's anonymous namespace.
    pub namespace: Option<String>,
    /// Where it came from.
    pub namespace_source: Source,
}

impl Target {
    /// Resolves arguments and environment (contract, section 4).
    pub fn resolve(
        _address: Option<&str>,
        _namespace: &NamespaceArg<'_>,
        _env: &Env,
    ) -> Result<Self, ConnectError> {
        todo!()
    }

    /// The fallbacks by priority, without the address itself (contract, section 4). Empty when
    /// there are none. For `Auto` these apply only when the address is [`Source::Default`].
    pub fn fallbacks(&self, _kubernetes: &Kubernetes) -> Vec<RayAddress> {
        todo!()
    }
}
