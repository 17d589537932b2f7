//! The environment variables and small files that settings are read from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{ENV_RAY_ADDRESS, ENV_RAY_NAMESPACE, ENV_SEEDCORE_NS};

/// Maximum size of a file. None of those that are read is larger.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The source of settings: the process, or a fixed table in tests.
#[derive(Clone, Debug)]
pub enum Env {
    /// The process environment and the real file system. Read it only while attached to the
    /// interpreter: Python's `os.environ` writes through `setenv` under the same lock.
    Process,
    /// A copy of the process's variables, and the real file system: safe to read while detached from
    /// the interpreter. Holds the secrets of the environment, so it must never be shown.
    Snapshot(BTreeMap<String, String>),
    /// A fixed table, for tests.
    Fixed {
        /// Variables by name.
        vars: BTreeMap<String, String>,
        /// File contents by absolute path.
        files: BTreeMap<String, String>,
    },
}

impl Env {
    /// A copy that is safe to read while detached from the interpreter. Files are not read yet.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let lossy = |text: OsString| text.to_string_lossy().into_owned();
        match self {
            Self::Process => Self::Snapshot(
                std::env::vars_os()
                    .map(|(name, value)| (lossy(name), lossy(value)))
                    .collect(),
            ),
            Self::Snapshot(_) | Self::Fixed { .. } => self.clone(),
        }
    }

    /// The trimmed value of `name`; a blank value counts as unset. Bytes that are not UTF-8 become
    /// replacement characters, which the parser of the value rejects with a message.
    pub fn get(&self, name: &str) -> Option<String> {
        trimmed(&self.raw(name)?)
    }

    /// The value of `name` as it is; `None` only when it is not set.
    pub fn raw(&self, name: &str) -> Option<String> {
        match self {
            Self::Process => Some(std::env::var_os(name)?.to_string_lossy().into_owned()),
            Self::Snapshot(vars) | Self::Fixed { vars, .. } => vars.get(name).cloned(),
        }
    }

    /// The trimmed content of a text file, or `None` if it is missing, unreadable, blank or larger
    /// than 64 KiB.
    pub fn file(&self, path: &str) -> Option<String> {
        match self {
            Self::Process | Self::Snapshot(_) => trimmed(&read_small(Path::new(path))?),
            Self::Fixed { files, .. } => trimmed(files.get(path)?),
        }
    }
}

fn trimmed(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn read_small(path: &Path) -> Option<String> {
    // Opening a pipe blocks until something writes to it.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path).ok()?.take(MAX_FILE_BYTES + 1);
    file.read_to_end(&mut bytes).ok()?;
    // A truncated token is worse than none.
    let is_whole = bytes.len() as u64 <= MAX_FILE_BYTES;
    is_whole.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The variables that decide where to connect, to notice a change without resolving them again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts([Option<OsString>; 3]);

impl Whereabouts {
    /// Reads them. Only while attached to the interpreter, as [`Env::Process`].
    pub fn now() -> Self {
        Self([ENV_RAY_ADDRESS, ENV_SEEDCORE_NS, ENV_RAY_NAMESPACE].map(std::env::var_os))
    }
}
