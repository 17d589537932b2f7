//! The causes of failure, the same in logs, exceptions, metrics, the doctor and exit codes.

use std::time::Duration;

use serde::{Serialize, Serializer};
use strum::{Display, IntoStaticStr, VariantArray};

/// Why this process is not connected to Ray.
///
/// Names and order are public: in snake case the names are `RayConnectionError.kind` in Python, and
/// the order gives the exit codes. New kinds go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The address cannot be one of Ray's.
    InvalidAddress,
    /// The host name does not resolve.
    Dns,
    /// Nothing listens on the port.
    Refused,
    /// The network reports that the host cannot be reached.
    Unreachable,
    /// No answer in time; the message names the phase.
    Timeout,
    /// The server is a Ray one that is still starting or has lost its GCS, or a gateway with no Ray
    /// behind it.
    NotReady,
    /// A Ray port, but not the one that the address form needs; or a tunnel, where a native Ray does
    /// not look.
    WrongPort,
    /// Something answers that is not Ray.
    NotRay,
    /// The TLS handshake failed, or one side speaks TLS and the other does not.
    Tls,
    /// The cluster requires a token, or a gateway or HTTP proxy on the way requires some: none was
    /// found, or it was refused.
    Auth,
    /// The Ray or Python versions differ in a way that Ray itself refuses.
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
    /// The attempt was cancelled: by a shutdown, at exit, or because no caller waits any more.
    Cancelled,
    /// The breaker is open; the last cause is inside the message.
    CircuitOpen,
    /// The connection to the cluster was lost, and a reconnect is awaited.
    Lost,
    /// There is no connection, and no connect has failed.
    NotConnected,
    /// A native driver, and no node of the cluster on this machine.
    NoLocalNode,
    /// A gateway on the way to Ray lets calls through, but not whole.
    Gateway,
    /// No connection of a pool became free in time.
    PoolTimeout,
    /// Too many callers wait for a connection of a pool.
    PoolFull,
    /// The pool is closed.
    PoolClosed,
}

impl Kind {
    /// The public, stable name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The exit code of the command line, public and stable. 0 to 2 are taken: success, failure, and
    /// wrong arguments.
    pub const fn exit_code(self) -> u8 {
        10 + self as u8
    }

    /// Whether time alone can cure it, so that another try makes sense.
    ///
    /// `no_local_ray` and `stale_local_ray` are answered at once, as by Ray's own `auto`; so is
    /// `no_local_node`, where nothing of a node is to be seen here.
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

/// A failure with its cause and the next thing to try.
///
/// `address`, `message` and `hint` hold no secret: the caller of [`ConnectError::new`] passes
/// redacted addresses only ([`crate::address::redact`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}{} {hint}", full_stop(.message))]
pub struct ConnectError {
    /// The cause.
    pub kind: Kind,
    /// The address, redacted.
    pub address: String,
    /// Address and cause, without a full stop at the end.
    pub message: String,
    /// What to try next, in whole sentences.
    pub hint: String,
    /// Number of sweeps made.
    #[serde(skip)]
    pub attempts: u32,
    /// After how long another try makes sense, if that is known.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl ConnectError {
    /// Makes an error of redacted parts. A hint that is a phrase becomes a sentence.
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
    let mut rest = phrase.chars();
    let Some(first) = rest.next() else {
        return String::new();
    };
    let (first, rest) = (first.to_uppercase(), rest.as_str());
    format!("{first}{rest}{}", full_stop(phrase))
}
