//! What differs between operating systems and std has no function for.
//!
//! There are two implementations. Both are compiled and tested everywhere, and neither calls anything
//! that only one system has: [`Linux`] reads files of `/proc`; [`Portable`] needs none of them and is
//! what macOS gets (docs/platforms.md). The feature `portable` chooses it on Linux, too.

mod linux;
mod portable;

pub use linux::Linux;
pub use portable::Portable;

/// One of the implementations. What it does not know is `None`.
pub trait Platform: Sync {
    /// `linux` or `portable`.
    fn name(&self) -> &'static str;

    /// The command lines of the processes of this machine, as far as this user may read them: their
    /// arguments, each ended by NUL.
    fn command_lines(&self) -> Option<Vec<String>>;

    /// The host name.
    fn host_name(&self) -> Option<String>;

    /// Whether the calling thread is the one with which this process began.
    fn is_first_thread(&self) -> Option<bool>;

    /// Whether Ray makes clusters of several machines here unless it is told otherwise. Then a native
    /// Ray dials this node's own IP in place of a loopback name.
    fn has_clusters(&self) -> bool;

    /// The variables that name the directory for temporary files to Ray, the first that is set. If
    /// none is, it is `/tmp`.
    fn temp_dir_variables(&self) -> &'static [&'static str];
}

/// The implementation for which this was built.
pub fn here() -> &'static dyn Platform {
    if cfg!(all(target_os = "linux", not(feature = "portable"))) {
        const { &Linux::new() }
    } else {
        &Portable
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_knows_this_machine_and_portable_says_that_it_does_not() {
        let linux = Linux::new();
        let of = |platform: &dyn Platform| {
            let lines = platform.command_lines();
            let is_listed = lines.map(|lines| {
                let our_own = std::env::args().next().unwrap_or_default();
                lines
                    .iter()
                    .any(|line| line.starts_with(&format!("{our_own}\0")))
            });
            let is_named = platform
                .host_name()
                .map(|name| name == name.trim() && !name.is_empty());
            // Tests run on threads of their own.
            (is_listed, is_named, platform.is_first_thread())
        };
        assert_eq!(of(&linux), (Some(true), Some(true), Some(false)));
        assert_eq!(of(&Portable), (None, None, None));
        assert_eq!(
            of(&Linux::at("/proc/self/no/such/folder")),
            (None, None, None)
        );
    }

    #[test]
    fn this_is_built_for_one_of_them() {
        let name = if cfg!(feature = "portable") {
            "portable"
        } else {
            "linux"
        };
        assert_eq!(here().name(), name);
    }
}
