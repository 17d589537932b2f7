//! What an exception of `ray.init` means: a cause, in Ray's own words as far as they may be shown.

use std::iter;

use crate::address::RayAddress;
use crate::error::{ConnectError, Kind};

/// An exception of `ray.init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// The name of its class.
    pub name: String,
    /// Its message, without the values of environment variables.
    words: String,
}

impl Raised {
    /// `words` is the message as Ray wrote it.
    pub fn new(name: String, words: &str) -> Self {
        let words = without_variables(words.trim());
        Self { name, words }
    }

    /// The message, which may be long.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Why there is no connection to `asked`.
    pub fn cause(&self, asked: &RayAddress) -> ConnectError {
        let address = asked.to_string();
        let (kind, hint) = self.classify();
        // Of a module's own client nothing was looked at.
        let answers = match asked {
            RayAddress::Module(at) if self.is_no_builder() => return at.refusal(),
            RayAddress::Module(_) => "",
            _ => " answers, but",
        };
        let (name, gist) = (&self.name, self.gist());
        let message = format!("{address}{answers} Ray refused: {name}: {gist}");
        ConnectError::new(kind, address, message, hint)
    }

    /// What the message says at the end, without the tracebacks of other processes in it: the last line
    /// of a traceback is the cause of all.
    fn gist(&self) -> &str {
        if self.words.contains("Traceback (most recent call last)") {
            self.words.lines().next_back().unwrap_or_default().trim()
        } else {
            &self.words
        }
    }

    /// By Ray's own words. Through the client port, a version mismatch shows only here
    /// (docs/ray-internals.md, "Probes").
    fn classify(&self) -> (Kind, &'static str) {
        let says = |words| self.words.contains(words);
        if says("Version mismatch") {
            (
                Kind::VersionMismatch,
                "Install the cluster's versions of ray and Python in this environment, or set \
                 RAY_IGNORE_VERSION_MISMATCH=1 to take the risk (Ray Client only).",
            )
        } else if self.name == "AuthenticationError" {
            (
                Kind::Auth,
                "Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH.",
            )
        } else if matches!(self.name.as_str(), "ImportError" | "ModuleNotFoundError") {
            (
                Kind::RayMissing,
                "Install it with `pip install \"ray[client]\"`, same version as the cluster.",
            )
        } else if says("runtime_env") {
            (
                Kind::InitFailed,
                "The runtime_env could not be set up: correct it, or look into \
                 runtime_env_setup-*.log among the head's logs.",
            )
        } else {
            (
                Kind::InitFailed,
                "The reason is Ray's own; look at the arguments given and the head's logs.",
            )
        }
    }

    /// Whether Ray found no client for `module://`. For a typo, and for a module that is no such thing.
    fn is_no_builder(&self) -> bool {
        // A RuntimeError, or an AssertionError before Ray 2.55.
        let no_builder = "does not have ClientBuilder";
        let says = self.words.contains(no_builder) || self.words.contains("does not exist");
        self.words.starts_with("Module: ") && says
    }
}

/// Leaves out what stands in the braces after `env_vars`: Ray quotes a whole `runtime_env` in some
/// messages, and variables are where its secrets are.
fn without_variables(words: &str) -> String {
    let mut parts = words.split("env_vars");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| match inner(part) {
        Some((before, after)) => format!("env_vars{before}{{...}}{after}"),
        None => format!("env_vars{part}"),
    });
    iter::once(first).chain(rest).collect()
}

/// What stands before and after the first pair of braces, if it belongs to the name before it.
fn inner(part: &str) -> Option<(&str, &str)> {
    let (before, rest) = part.split_once('{')?;
    let is_value = before
        .chars()
        .all(|sign| matches!(sign, '\'' | '"' | ':' | '=' | ' '));
    // Without an end, all of the rest is hidden.
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    is_value.then_some((before, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cause(name: &str, words: &str) -> ConnectError {
        let asked = RayAddress::parse("ray://head:10001").expect("an address");
        Raised::new(name.to_owned(), words).cause(&asked)
    }

    #[test]
    fn of_a_traceback_the_last_line_is_told() {
        let words = "Initialization failure:\nTraceback (most recent call last):\n  File x\n\
                     RuntimeError: no such package of the runtime_env\n";
        let cause = cause("ConnectionAbortedError", words);
        assert_eq!(cause.kind, Kind::InitFailed);
        assert!(
            cause
                .message
                .ends_with("RuntimeError: no such package of the runtime_env")
        );
        assert!(cause.hint.contains("runtime_env_setup"));
    }

    #[test]
    fn the_values_of_variables_are_hidden() {
        let words = "Failed to merge {'env_vars': {'PASSWORD': 'hunter2'}, 'pip': ['x']} with \
                     {\"env_vars\": {\"TOKEN\": \"hunter2\"}} because of env_vars";
        let shown = cause("ValueError", words).message;
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            shown.contains("{'env_vars': {...}, 'pip': ['x']}"),
            "{shown}"
        );
        assert!(shown.ends_with("because of env_vars"), "{shown}");
        assert!(
            !cause("ValueError", "env_vars={'A': 'hunter2")
                .message
                .contains("hunter2")
        );
    }

    #[test]
    fn rays_words_decide_the_kind() {
        for (name, words, kind) in [
            (
                "RuntimeError",
                "Version mismatch: ...",
                Kind::VersionMismatch,
            ),
            ("AuthenticationError", "", Kind::Auth),
            ("ImportError", "no grpc", Kind::RayMissing),
            ("ValueError", "num_cpus", Kind::InitFailed),
        ] {
            assert_eq!(cause(name, words).kind, kind, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_words_are_survived(words in any::<String>()) {
            let _ = cause("ValueError", &words);
        }
    }
}
