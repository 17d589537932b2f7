//! One enum of causes, used by logs, exceptions, metrics, the doctor and exit codes alike.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Why this process is not connected to Ray. The names are public: they are
/// `RayConnectionError.kind` in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::VariantArray)]
#[non_exhaustive]
pub enum Kind {
    /// The address cannot be one of Ray's.
    InvalidAddress,
    /// The host name does not resolve.
    Dns,
    /// Nothing listens on the port.
    Refused,
    /// The network says that the host cannot be reached.
    Unreachable,
    /// No answer in time; the message names the phase.
    Timeout,
    /// The server is a Ray one that is still starting or has lost its GCS.
    NotReady,
    /// A Ray port, but not the one that the address form needs.
    WrongPort,
    /// Something answers that is not Ray.
    NotRay,
    /// The TLS handshake failed, or one side speaks TLS and the other does not.
    Tls,
    /// The cluster wants a token: none was found, or it was refused.
    Auth,
    /// Ray or Python differ in a way that Ray itself refuses.
    VersionMismatch,
    /// `auto`, and no Ray runs on this machine.
    NoLocalRay,
    /// `auto`, and the address file names a head that is gone.
    StaleLocalRay,
    /// The `ray` package is not installed.
    RayMissing,
    /// This process is a fork of a connected one.
    Forked,
    /// `ray.init` raised; the message has Ray's own words.
    InitFailed,
    /// `ray.init` did not return in its time.
    InitTimeout,
    /// Called from inside our own `ray.init`.
    Reentrant,
    /// The attempt was called off: shutdown, exit, or nobody waits any more.
    Cancelled,
    /// The breaker is open; the last cause is inside the message.
    CircuitOpen,
    /// The cluster was lost and is being waited for.
    Lost,
    /// No connect has failed, and there is no connection.
    NotConnected,
}

impl Kind {
    /// The public, stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidAddress => "invalid_address",
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::NotReady => "not_ready",
            Self::WrongPort => "wrong_port",
            Self::NotRay => "not_ray",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::VersionMismatch => "version_mismatch",
            Self::NoLocalRay => "no_local_ray",
            Self::StaleLocalRay => "stale_local_ray",
            Self::RayMissing => "ray_missing",
            Self::Forked => "forked",
            Self::InitFailed => "init_failed",
            Self::InitTimeout => "init_timeout",
            Self::Reentrant => "reentrant",
            Self::Cancelled => "cancelled",
            Self::CircuitOpen => "circuit_open",
            Self::Lost => "lost",
            Self::NotConnected => "not_connected",
        }
    }

    /// The exit code of the command line, stable: scripts and probes go by it. 0 to 2 are taken:
    /// ok, failed, and a mistake in the arguments.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::InvalidAddress => 10,
            Self::Dns => 11,
            Self::Refused => 12,
            Self::Unreachable => 13,
            Self::Timeout => 14,
            Self::NotReady => 15,
            Self::WrongPort => 16,
            Self::NotRay => 17,
            Self::Tls => 18,
            Self::Auth => 19,
            Self::VersionMismatch => 20,
            Self::NoLocalRay => 21,
            Self::StaleLocalRay => 22,
            Self::RayMissing => 23,
            Self::Forked => 24,
            Self::InitFailed => 25,
            Self::InitTimeout => 26,
            Self::Reentrant => 27,
            Self::Cancelled => 28,
            Self::CircuitOpen => 29,
            Self::Lost => 30,
            Self::NotConnected => 31,
        }
    }

    /// Whether time alone can cure it, so that trying again makes sense.
    ///
    /// `no_local_ray` and `stale_local_ray` are answered at once, as Ray's own `auto` does.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Dns | Self::Refused | Self::Unreachable | Self::Timeout | Self::NotReady
        )
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure for people: what was asked for, the cause, and the next thing to try.
///
/// `address`, `message` and `hint` never hold a secret: whoever makes one passes shown
/// addresses only ([`crate::address::redact`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}{} {hint}", full_stop(.message))]
pub struct ConnectError {
    /// The cause.
    pub kind: Kind,
    /// The address as it may be shown.
    pub address: String,
    /// Address and cause, with no full stop at the end.
    pub message: String,
    /// What to try next, as whole sentences.
    pub hint: String,
    /// How many sweeps were made.
    #[serde(skip)]
    pub attempts: u32,
    /// When asking again makes sense, if somebody already knows.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl ConnectError {
    /// A failure of `kind` at `address`, all of it already safe to show. The hint is made a
    /// sentence where it was written as a phrase.
    pub fn new(
        kind: Kind,
        address: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            address: address.into(),
            message: message.into(),
            hint: sentence(&hint.into()),
            attempts: 0,
            retry_after: None,
        }
    }
}

fn full_stop(message: &str) -> &'static str {
    if message.ends_with(['.', '?', '!']) {
        ""
    } else {
        "."
    }
}

fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    format!(
        "{}{}{}",
        first.to_uppercase(),
        letters.as_str(),
        full_stop(phrase)
    )
}
