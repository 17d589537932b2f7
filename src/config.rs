//! Settings: defaults, units, validation. The environment is read here and nowhere else.

use std::collections::BTreeMap;
use std::time::Duration;

/// Where settings come from: the process, or a fixed table in tests.
#[derive(Clone, Debug)]
pub enum Env {
    /// The process environment and the real file system. Read it only while attached to the
    /// interpreter: Python's `os.environ` writes through `setenv` under the same lock.
    Process,
    /// A table. `files` stands for the file system (path, content).
    Fixed {
        /// Variables by name.
        vars: BTreeMap<String, String>,
        /// File contents by absolute path.
        files: BTreeMap<String, String>,
    },
}

impl Env {
    /// The value of `name`, trimmed; blank counts as unset.
    pub fn get(&self, _name: &str) -> Option<String> {
        todo!()
    }

    /// The content of a small text file, trimmed; missing, unreadable and blank are the same.
    pub fn file(&self, _path: &str) -> Option<String> {
        todo!()
    }
}

/// A setting whose value in the environment cannot be used; the default is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSetting {
    /// The variable.
    pub name: &'static str,
    /// One line: name, value, what is allowed, the default in use.
    pub message: String,
}

/// Bounds and switches of one connect.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long to wait for an answer: `SEEDCORE_RAY_CONNECT_TIMEOUT_S`, 30 s. 0 is one sweep.
    pub connect_timeout: Duration,
    /// Bound of one probe: `SEEDCORE_RAY_PROBE_TIMEOUT_S`, 2 s.
    pub probe_timeout: Duration,
    /// Bound of `ray.init` itself: `SEEDCORE_RAY_INIT_TIMEOUT_S`, 30 s.
    pub init_timeout: Duration,
    /// Whether fallbacks may be tried: `SEEDCORE_RAY_FALLBACKS`, on unless `0`.
    pub fallbacks: bool,
}

impl Settings {
    /// Reads the environment; what cannot be used is reported and replaced by its default.
    pub fn from_env(_env: &Env) -> (Self, Vec<BadSetting>) {
        todo!()
    }
}

/// What the surroundings say about Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kubernetes {
    /// `POD_NAMESPACE`, else `SEEDCORE_NS`, else the service-account file.
    pub namespace: Option<String>,
    /// Really inside a cluster: `KUBERNETES_SERVICE_HOST` or the service-account file.
    pub inside: bool,
    /// In a Ray pod, which `KubeRay` marks in the environment.
    pub ray_pod: bool,
}

impl Kubernetes {
    /// Reads the environment and the service-account file.
    pub fn from_env(_env: &Env) -> Self {
        todo!()
    }
}
