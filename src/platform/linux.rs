//! Linux: what `/proc` shows.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use super::Platform;

/// A system with `/proc`.
pub struct Linux {
    proc: Cow<'static, str>,
}

impl Linux {
    /// With the `/proc` of this machine.
    #[expect(
        clippy::new_without_default,
        reason = "a default cannot be made in a constant"
    )]
    pub const fn new() -> Self {
        Self {
            proc: Cow::Borrowed("/proc"),
        }
    }

    /// With another one, for tests.
    pub fn at(proc: &str) -> Self {
        Self {
            proc: Cow::Owned(proc.to_owned()),
        }
    }

    fn proc(&self) -> &Path {
        Path::new(self.proc.as_ref())
    }
}

impl Platform for Linux {
    fn name(&self) -> &'static str {
        "linux"
    }

    /// Costs 2-3 ms.
    fn command_lines(&self) -> Option<Vec<String>> {
        let processes = fs::read_dir(self.proc()).ok()?;
        let lines = processes
            .filter_map(Result::ok)
            .filter(|entry| is_number(entry.file_name().as_encoded_bytes()))
            // Unreadable: the process has ended, or belongs to another user.
            .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
            .map(|raw| String::from_utf8_lossy(&raw).into_owned());
        Some(lines.collect())
    }

    fn host_name(&self) -> Option<String> {
        let name = fs::read_to_string(self.proc().join("sys/kernel/hostname")).ok()?;
        Some(name.trim().to_owned())
    }

    fn is_first_thread(&self) -> Option<bool> {
        // `<process>/task/<thread>`, both numbers the same there.
        let here = self.proc().join("thread-self").read_link().ok()?;
        Some(here.file_name() == here.iter().next())
    }

    fn has_clusters(&self) -> bool {
        true
    }

    fn temp_dir_variables(&self) -> &'static [&'static str] {
        &["RAY_TMPDIR", "TMPDIR"]
    }
}

fn is_number(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_digit)
}
