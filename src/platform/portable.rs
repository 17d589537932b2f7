//! Any Unix, by what Ray does on macOS.

use super::Platform;

/// A system of which nothing special is known.
pub struct Portable;

impl Platform for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    /// Ray lists them with psutil. std cannot, so `auto` means what the address file says, and
    /// whether a node is here is decided by its raylet's socket alone.
    fn command_lines(&self) -> Option<Vec<String>> {
        None
    }

    /// Only asked for where this machine has no route to anywhere.
    fn host_name(&self) -> Option<String> {
        None
    }

    fn is_first_thread(&self) -> Option<bool> {
        None
    }

    fn has_clusters(&self) -> bool {
        false
    }

    fn temp_dir_variables(&self) -> &'static [&'static str] {
        &["RAY_TMPDIR"]
    }
}
