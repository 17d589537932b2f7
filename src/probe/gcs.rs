//! Calls to the GCS port.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use tonic::{Code, Status};

use super::beside::beside;
use super::channel::Channel;
use super::wire::{
    ALIVE, BytesReply, CheckAliveReply, Empty, GcsStatus, KvRequest, NodeInfo, NodeInfoReply,
    NodeInfoRequest, NodeResources, ResourcesReply, RowsReply,
};

const CHECK_ALIVE: &str = "/ray.rpc.NodeInfoGcsService/CheckAlive";
const CLUSTER_ID: &str = "/ray.rpc.NodeInfoGcsService/GetClusterId";
const NODES: &str = "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo";
const KV_GET: &str = "/ray.rpc.InternalKVGcsService/InternalKVGet";
/// The system config; the second path is that of older Rays.
const CONFIG: [&str; 2] = [
    "/ray.rpc.InternalKVGcsService/GetInternalConfig",
    "/ray.rpc.NodeInfoGcsService/GetInternalConfig",
];
/// How long the system config may keep the rest waiting. A healthy GCS takes a millisecond.
const CONFIG_BOUND: Duration = Duration::from_millis(250);
const TOTAL: &str = "/ray.rpc.NodeResourceInfoGcsService/GetAllTotalResources";
const AVAILABLE: &str = "/ray.rpc.NodeResourceInfoGcsService/GetAllAvailableResources";

/// Nodes and resources of a cluster, as its control plane reports them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterState {
    /// As `ray.cluster_resources()`: the sum over all nodes that are alive.
    pub total: BTreeMap<String, f64>,
    /// As `ray.available_resources()`: a resource that is used up is left out.
    pub available: BTreeMap<String, f64>,
    /// Number of nodes that are alive.
    pub nodes: usize,
}

/// A table of the GCS, read as the rows that Ray's own Python decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `GcsNodeInfo` of every node, the dead ones included.
    Nodes,
    /// `TotalResources` of every node that is alive.
    TotalResources,
    /// `AvailableResources` of every node that is alive.
    AvailableResources,
}

/// The versions and the id that a cluster reports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub ray_version: Option<String>,
    pub python_version: Option<String>,
    pub cluster_id: Option<String>,
    pub ray_deadline: Option<Duration>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |text: &'_ Option<String>| text.as_deref().unwrap_or("unknown").to_owned();
        let (ray, python) = (known(&self.ray_version), known(&self.python_version));
        let cluster = known(&self.cluster_id);
        write!(f, "Ray {ray}, Python {python}, cluster {cluster}")
    }
}

/// Checks that a GCS answers. Returns its Ray version, if it reports one.
pub(super) async fn check_alive(channel: &Channel) -> Result<Option<String>, Status> {
    let reply = channel
        .call::<Empty, CheckAliveReply>(CHECK_ALIVE, Empty {})
        .await?;
    accepted(reply.status)?;
    Ok(short(&reply.ray_version))
}

/// Versions, cluster id and Ray's deadline, from three concurrent calls. The last may stay unknown.
pub(super) async fn identity(channel: &Channel) -> Result<Identity, Status> {
    let metadata = channel.call::<KvRequest, BytesReply>(KV_GET, KvRequest::cluster_metadata());
    // Boxed: each call takes kilobytes.
    let known = Box::pin(async { tokio::try_join!(metadata, cluster_id(channel)) });
    let deadline = Box::pin(configured_deadline(channel));
    let (known, ray_deadline) = beside(known, deadline, CONFIG_BOUND).await;
    let (metadata, cluster_id) = known?;
    let (ray_version, python_version) = versions(&metadata.value);
    Ok(Identity {
        ray_version,
        python_version,
        cluster_id,
        ray_deadline: ray_deadline.flatten(),
    })
}

/// `gcs_rpc_server_reconnect_timeout_s` in the system config of the cluster, which holds for its drivers
/// too. `None` where it is not set, or cannot be read from this Ray.
async fn configured_deadline(channel: &Channel) -> Option<Duration> {
    for path in CONFIG {
        let reply = channel.call::<Empty, BytesReply>(path, Empty {}).await;
        match reply {
            Ok(config) => return deadline_in(&config.value),
            Err(status) if status.code() == Code::Unimplemented => {}
            Err(_) => return None,
        }
    }
    None
}

fn deadline_in(config: &[u8]) -> Option<Duration> {
    let config = serde_json::from_slice::<serde_json::Value>(config).ok()?;
    let seconds = config.get("gcs_rpc_server_reconnect_timeout_s")?.as_u64()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// The cluster id in hex. A different id means that the head was restarted.
pub(super) async fn cluster_id(channel: &Channel) -> Result<Option<String>, Status> {
    let id = channel
        .call::<Empty, BytesReply>(CLUSTER_ID, Empty {})
        .await?;
    Ok((!id.value.is_empty()).then(|| hex(&id.value)))
}

/// The nodes that are alive. A dead one is listed until the GCS has noticed.
pub(super) async fn nodes(channel: &Channel) -> Result<Vec<NodeInfo>, Status> {
    let alive_only = NodeInfoRequest {
        state_filter: Some(ALIVE),
    };
    let reply = channel
        .call::<NodeInfoRequest, NodeInfoReply>(NODES, alive_only)
        .await?;
    accepted(reply.status)?;
    let alive = reply.nodes.into_iter().filter(|node| node.state == ALIVE);
    Ok(alive.collect())
}

/// Nodes and resources, from three concurrent calls.
pub(super) async fn state(channel: &Channel) -> Result<ClusterState, Status> {
    let (nodes, total, available) = tokio::try_join!(
        nodes(channel),
        channel.call::<Empty, ResourcesReply>(TOTAL, Empty {}),
        channel.call::<Empty, ResourcesReply>(AVAILABLE, Empty {}),
    )?;
    accepted(total.status)?;
    accepted(available.status)?;
    Ok(ClusterState {
        total: sum(&total.nodes),
        available: sum(&available.nodes),
        nodes: nodes.len(),
    })
}

/// The rows of `table`.
pub(super) async fn rows(channel: &Channel, table: Table) -> Result<Vec<Vec<u8>>, Status> {
    let path = match table {
        Table::Nodes => NODES,
        Table::TotalResources => TOTAL,
        Table::AvailableResources => AVAILABLE,
    };
    let reply = channel.call::<Empty, RowsReply>(path, Empty {}).await?;
    accepted(reply.status)?;
    Ok(reply.rows)
}

/// Ray reports some failures with gRPC status OK and a status of its own in the reply.
fn accepted(status: Option<GcsStatus>) -> Result<(), Status> {
    match status {
        Some(GcsStatus { code, message }) if code != 0 => {
            Err(Status::unavailable(format!("GCS status {code} {message}")))
        }
        _ => Ok(()),
    }
}

fn sum(nodes: &[NodeResources]) -> BTreeMap<String, f64> {
    let mut sum = BTreeMap::new();
    for (name, amount) in nodes.iter().flat_map(|node| &node.amounts) {
        *sum.entry(name.clone()).or_insert(0.0) += amount;
    }
    sum
}

/// `ray_version` and `python_version` from the JSON that Ray keeps. Without JSON there are no
/// versions, and Ray does not compare them either.
fn versions(json: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(json) else {
        return (None, None);
    };
    let text = |key: &str| value.get(key).and_then(|v| v.as_str()).and_then(short);
    (text("ray_version"), text("python_version"))
}

/// `text` if it can be a version: up to 64 printable characters.
fn short(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

/// Reads `bytes` as every reply of a GCS.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    use prost::Message as _;

    if let Ok(reply) = CheckAliveReply::decode(bytes) {
        let version = short(&reply.ray_version);
        assert!(version.is_none_or(|version| version.len() <= 64));
        let _ = accepted(reply.status);
    }
    if let Ok(reply) = BytesReply::decode(bytes) {
        let _ = (versions(&reply.value), deadline_in(&reply.value));
        assert!(hex(&reply.value).len() <= 128);
    }
    if let Ok(reply) = NodeInfoReply::decode(bytes) {
        let _ = accepted(reply.status);
    }
    if let Ok(reply) = ResourcesReply::decode(bytes) {
        let _ = sum(&reply.nodes);
    }
    let _ = versions(bytes);
}

/// Up to 64 bytes in hex. Ray's ids have 28; a foreign server could send any number.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(64).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn resources_are_summed_over_nodes() {
        let node = |cpus: f64| NodeResources {
            amounts: [("CPU".to_owned(), cpus)].into(),
        };
        assert_eq!(
            sum(&[node(1.5), node(2.0)]),
            [("CPU".to_owned(), 3.5)].into()
        );
    }

    #[test]
    fn versions_come_from_the_metadata() {
        let json = br#"{"ray_version": "2.60.0", "python_version": "3.11.9", "os": "linux"}"#;
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(versions(json), (some("2.60.0"), some("3.11.9")));
        assert_eq!(versions(b"[1]"), (None, None));
        assert_eq!(versions(b"{\"ray_version\": \"a\\nb\"}"), (None, None));
    }

    proptest! {
        #[test]
        fn any_metadata_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = versions(&bytes);
            let _ = hex(&bytes);
        }
    }
}
