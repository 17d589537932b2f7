//! Whether a native driver can connect from this machine: it needs a node of the cluster here.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::Credentials;
use super::channel::LARGE;
use super::gcs;
use super::local::{self, LocalRaylet};
use super::open::open;
use super::raylet;
use super::report::{Facts, RayPort};
use super::server::Server;
use super::trace::Trace;
use super::wire::NodeInfo;
use crate::address::HostPort;
use crate::error::{ConnectError, Kind};
use crate::platform;

/// How many nodes a message names.
const SHOWN: usize = 3;

/// Where the nodes of a cluster are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalNode {
    /// No native driver is to connect, or the GCS cannot be asked, which is for Ray to find out.
    Unknown,
    /// One is on this machine.
    Here {
        /// Its address.
        node: String,
        /// How many there are.
        of: usize,
    },
    /// There is no node at all yet, or the one of this machine is not known to the GCS yet.
    Starting,
    /// All are on other machines. Their addresses.
    Elsewhere(Vec<String>),
}

impl LocalNode {
    /// The error for a cluster at `address`, unless one of its nodes is here.
    ///
    /// # Errors
    ///
    /// [`Kind::NotReady`] while a node is starting, [`Kind::NoLocalNode`] if there is none to wait for.
    pub fn check(&self, address: &str) -> Result<(), ConnectError> {
        let nodes = match self {
            Self::Unknown | Self::Here { .. } => return Ok(()),
            Self::Starting => {
                return Err(ConnectError::new(
                    Kind::NotReady,
                    address,
                    format!("{address}: the GCS answers, and the node of this machine is starting"),
                    "Wait; if it lasts, look at the logs of ray start.",
                ));
            }
            Self::Elsewhere(nodes) => nodes,
        };
        let more = if nodes.len() > SHOWN { ", ..." } else { "" };
        let shown = nodes.iter().take(SHOWN).map(String::as_str);
        let nodes = shown.collect::<Vec<_>>().join(", ") + more;
        Err(ConnectError::new(
            Kind::NoLocalNode,
            address,
            format!(
                "{address}: the cluster answers, but none of its nodes ({nodes}) is on this machine \
                 or in this container, and a native driver needs one"
            ),
            "Connect through Ray Client, ray://host:10001, which needs no node here; or join the \
             cluster from here (ray start --address=...) and share /tmp/ray and the process \
             namespace with that node.",
        ))
    }
}

/// Looks for a node on this machine, within `timeout`. `facts` are what the server has told.
pub async fn local_node(
    server: &HostPort,
    credentials: &Credentials,
    timeout: Duration,
    facts: &Facts,
) -> LocalNode {
    let server = Server::new(server.clone(), RayPort::Gcs);
    let mut trace = Trace::new(&server, timeout);
    let nodes = async {
        let call = open(credentials, LARGE, &mut trace).await?;
        let nodes = call.answer(gcs::nodes(&call.channel));
        let count = |nodes: &Vec<NodeInfo>| format!("{} nodes", nodes.len());
        trace.step("grpc", nodes, count).await
    };
    let Ok(nodes) = nodes.await else {
        return LocalNode::Unknown;
    };
    let running = local::raylets(platform::here());
    let must_be_seen = facts.ray_version.as_deref().is_some_and(looks_in_proc);
    for node in &nodes {
        let is_seen = !must_be_seen || is_running(node, running.as_ref());
        if is_seen && raylet::listens(Path::new(&node.raylet_socket)).await {
            return LocalNode::Here {
                node: node.address.clone(),
                of: nodes.len(),
            };
        }
    }
    let is_starting = |raylet: &LocalRaylet| {
        raylet.is_of(server.address.port) && !nodes.iter().any(|node| raylet.is(node.id.as_slice()))
    };
    if nodes.is_empty() || running.iter().flatten().any(is_starting) {
        return LocalNode::Starting;
    }
    LocalNode::Elsewhere(nodes.into_iter().map(|node| node.address).collect())
}

/// Whether this Ray looks for the processes of raylets, which those of another container are hidden
/// from; an older one only compares IP addresses (docs/ray-internals.md, Raylet).
fn looks_in_proc(version: &str) -> bool {
    let mut parts = version
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    (parts.next(), parts.next()) >= (Some(2), Some(55))
}

/// Where processes cannot be listed, the socket alone decides.
fn is_running(node: &NodeInfo, running: Option<&BTreeSet<LocalRaylet>>) -> bool {
    running.is_none_or(|raylets| raylets.iter().any(|raylet| raylet.is(&node.id)))
}
