//! Where settings are read from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{ENV_RAY_ADDRESS, ENV_RAY_NAMESPACE, ENV_SEEDCORE_NS};

/// A file that is larger is not one of those we read.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Where settings come from: the process, or a fixed table in tests.
#[derive(Clone, Debug)]
pub enum Env {
    /// The process environment and the real file system. Read it only while attached to the
    /// interpreter: Python's `os.environ` writes through `setenv` under the same lock.
    Process,
    /// The variables of the process as they were, and the real file system: for reading on after
    /// detaching. Holds whatever secrets the environment does, so it is never shown.
    Snapshot(BTreeMap<String, String>),
    /// A table. `files` stands for the file system (path, content).
    Fixed {
        /// Variables by name.
        vars: BTreeMap<String, String>,
        /// File contents by absolute path.
        files: BTreeMap<String, String>,
    },
}

impl Env {
    /// The same, safe to read while detached from the interpreter. Files are still read late.
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

    /// The value of `name`, trimmed; blank counts as unset. Bytes that are not UTF-8 become
    /// replacement characters, so that they are refused where they matter, with a message.
    pub fn get(&self, name: &str) -> Option<String> {
        match self {
            Self::Process => trimmed(&std::env::var_os(name)?.to_string_lossy()),
            Self::Snapshot(vars) | Self::Fixed { vars, .. } => trimmed(vars.get(name)?),
        }
    }

    /// The content of a small text file, trimmed; missing, unreadable, blank and larger than
    /// 64 KiB are the same.
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
    // Opening a pipe would block until somebody writes to it.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path).ok()?.take(MAX_FILE_BYTES + 1);
    file.read_to_end(&mut bytes).ok()?;
    // Half a token is worse than none.
    let is_whole = bytes.len() as u64 <= MAX_FILE_BYTES;
    is_whole.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// What the environment says about where to connect, as it stands there: to see whether it has
/// changed since, without resolving it anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts([Option<OsString>; 3]);

impl Whereabouts {
    /// As it is now. Read it only while attached to the interpreter, as [`Env::Process`].
    pub fn now() -> Self {
        Self([ENV_RAY_ADDRESS, ENV_SEEDCORE_NS, ENV_RAY_NAMESPACE].map(std::env::var_os))
    }
}
