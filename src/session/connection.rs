//! The connection that is held, and the states that callers see.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::address::RayAddress;
use crate::preflight::{Role, StandIn};
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

/// The cluster that Ray is connected to, as Ray itself describes it, from memory.
#[derive(Clone, Debug, Default)]
pub struct RayCluster {
    /// The address. Natively Ray replaces a loopback host by the node's own address.
    pub address: Option<String>,
    /// Hex id; known natively only.
    pub cluster_id: Option<String>,
    /// The namespace, by which Ray also names an anonymous one; known natively only.
    pub namespace: Option<String>,
    /// Hex id of the node that this process is attached to; natively only.
    pub node_id: Option<String>,
    /// This process has started it, and it ends with this process.
    pub is_private: bool,
    /// Reached as a native driver, through a raylet of this machine.
    pub is_native: bool,
}

impl RayCluster {
    /// Whether it is a Ray that runs on this machine, whoever has started it, but not this process.
    pub const fn is_local(&self) -> bool {
        self.is_native && !self.is_private
    }
}

/// What is known about a connection.
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
    /// What Ray says of the cluster.
    pub ray: RayCluster,
    /// How long the whole connect took.
    pub took: Duration,
    /// Set when another address stands in for the one that was asked for.
    pub instead_of: Option<StandIn>,
}

impl ConnectionInfo {
    /// Whether it is to the Ray of this machine, by `auto`.
    pub fn is_auto(&self) -> bool {
        let asked = self.target.as_ref().map(|target| &target.address);
        asked == Some(&RayAddress::Auto) && self.instead_of.is_none()
    }

    /// What the address is, where it stands in for the one that was asked for.
    pub fn stand_in(&self) -> Option<Role> {
        self.instead_of.as_ref().map(|stand_in| stand_in.role)
    }
}

/// The language side's share of a connection. The session owns it together with the
/// [`ConnectionInfo`], so that there is one place where a connection begins and ends.
///
/// The methods are called under the session's lock: they must not block, nor call the session.
pub trait Binding: Any + Send + Sync {
    /// The connection is the one that is held from now on.
    fn held(self: Arc<Self>);
    /// The connection is not held any more; it may be again ([`Binding::held`]).
    fn released(&self);
    /// The cluster does not answer. `is_broken`: it does, and what this connection needs of it has ended.
    fn unhealthy(&self, is_broken: bool);
    /// A look at the cluster found all well.
    fn answered(&self);
}

/// A connection: what is known about it, and what the language side keeps for it.
pub struct Connection {
    /// What is known about it.
    pub info: ConnectionInfo,
    /// The language side's share.
    pub binding: Arc<dyn Binding>,
}

/// The states that callers see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::VariantArray)]
pub enum State {
    /// No call has asked for a connection yet, or it was shut down.
    Idle,
    /// A connect is under way, or `ray.init` outlived its timeout and still runs.
    Connecting,
    /// Connected.
    Connected,
    /// Connected, but the cluster has stopped answering.
    Unhealthy,
    /// The connection is lost, and Ray is still to be released; or it is not to be made again.
    Lost,
    /// The connection is lost, Ray was released, and the cluster is waited for.
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
