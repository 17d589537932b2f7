//! A connection that is held, and the states that callers see.

use std::time::{Duration, SystemTime};

use crate::error::ConnectError;
use crate::probe::Facts;
use crate::target::Target;

/// Who made the connection, and of which sort it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A native driver that we connected.
    Native,
    /// A Ray Client that we connected.
    Client,
    /// Made by somebody else: a Ray worker, a Serve replica, the service's own `ray.init`.
    Adopted,
}

impl Mode {
    /// `native`, `client` or `adopted`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Client => "client",
            Self::Adopted => "adopted",
        }
    }
}

/// A connection that is held.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// What was asked for; `None` when somebody else connected.
    pub target: Option<Target>,
    /// The address in use, as it may be shown.
    pub address: String,
    /// Ray's namespace; `None` is the anonymous one.
    pub namespace: Option<String>,
    /// Who made it, and how.
    pub mode: Mode,
    /// Wall clock time of the connect.
    pub since: SystemTime,
    /// What the preflight learnt.
    pub facts: Facts,
    /// How long the whole connect took.
    pub took: Duration,
    /// Set when a fallback stands in for what was asked.
    pub instead_of: Option<ConnectError>,
}

/// The states that callers see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::VariantArray)]
pub enum State {
    /// Nobody has asked yet.
    Idle,
    /// A connect is under way, or `ray.init` outlived its time and still runs.
    Connecting,
    /// Connected.
    Connected,
    /// Connected, but the cluster has stopped to answer.
    Unhealthy,
    /// The connection is gone, and Ray is still to be released; or nobody is to reconnect.
    Lost,
    /// The connection is gone, and the cluster is waited for.
    Reconnecting,
    /// The last connect failed.
    Failed,
}

impl State {
    /// The public, stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Unhealthy => "unhealthy",
            Self::Lost => "lost",
            Self::Reconnecting => "reconnecting",
            Self::Failed => "failed",
        }
    }
}
