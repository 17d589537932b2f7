//! Calls to the Ray Client port (Ray's "proxier").

use std::time::Duration;

use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use super::channel::Channel;
use super::gcs::{ClusterState, hex};
use super::wire::{
    CLIENT_AVAILABLE, CLIENT_CONTEXT, CLIENT_NODES, CLIENT_TOTAL, ClusterInfoRequest,
    ClusterInfoResponse, Empty, IS_INITIALIZED, KvRequest, PING,
};

const CLUSTER_INFO: &str = "/ray.rpc.RayletDriver/ClusterInfo";
const KV_EXISTS: &str = "/ray.rpc.RayletDriver/KVExists";

/// How long the GCS behind a session has to answer a look-up. A live one takes milliseconds, a dead
/// one never answers (docs/ray-internals.md, GCS-bound calls).
const GCS_BOUND: Duration = Duration::from_millis(750);

/// The session and the cluster, as the server behind a Ray Client reports them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionState {
    /// Nodes and resources.
    pub cluster: ClusterState,
    /// Id in hex of the node that the server runs on.
    pub node_id: String,
    /// The namespace of the session.
    pub namespace: String,
}

/// Checks that a Ray Client server answers. It does even when the GCS behind it is dead.
pub(super) async fn ping(channel: &Channel) -> Result<(), Status> {
    let request = ClusterInfoRequest { kind: PING };
    let reply = channel.call::<ClusterInfoRequest, ClusterInfoResponse>(CLUSTER_INFO, request);
    reply.await.map(drop)
}

/// Whether the session `client_id` is still known. A restarted head answers `NOT_FOUND`.
pub(super) async fn session_alive(channel: &Channel, client_id: &str) -> Result<bool, Status> {
    match ask(channel, client_id, IS_INITIALIZED).await {
        Ok(reply) => Ok(reply.json.trim() == "true"),
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(status),
    }
}

/// Whether the GCS behind the session `client_id` answers: makes a call that the server must forward.
pub(super) async fn gcs_answers(channel: &Channel, client_id: &str) -> bool {
    let Ok(request) = with_session(KvRequest::cluster_metadata(), client_id) else {
        return true;
    };
    let answer = channel.call::<KvRequest, Empty>(KV_EXISTS, request);
    match timeout(GCS_BOUND, answer).await {
        Ok(Ok(_)) => true,
        // A Ray without this method says nothing about its GCS.
        Ok(Err(status)) => status.code() == Code::Unimplemented,
        Err(_) => false,
    }
}

/// The state of the session `client_id`, from four concurrent calls. `None` when it is not known.
pub(super) async fn session_state(
    channel: &Channel,
    client_id: &str,
) -> Result<Option<SessionState>, Status> {
    let replies = tokio::try_join!(
        ask(channel, client_id, CLIENT_NODES),
        ask(channel, client_id, CLIENT_TOTAL),
        ask(channel, client_id, CLIENT_AVAILABLE),
        ask(channel, client_id, CLIENT_CONTEXT),
    );
    let (nodes, total, available, context) = match replies {
        Ok(replies) => replies,
        Err(status) if status.code() == Code::NotFound => return Ok(None),
        Err(status) => return Err(status),
    };
    let context = context.context.unwrap_or_default();
    Ok(Some(SessionState {
        cluster: ClusterState {
            total: total.resources.unwrap_or_default().amounts,
            available: available.resources.unwrap_or_default().amounts,
            nodes: alive(&nodes.json),
        },
        node_id: hex(&context.node_id),
        namespace: context.namespace,
    }))
}

async fn ask(channel: &Channel, client_id: &str, kind: i32) -> Result<ClusterInfoResponse, Status> {
    let request = with_session(ClusterInfoRequest { kind }, client_id)?;
    channel
        .call::<ClusterInfoRequest, _>(CLUSTER_INFO, request)
        .await
}

fn with_session<Q>(question: Q, client_id: &str) -> Result<Request<Q>, Status> {
    let mut request = Request::new(question);
    // A server cannot know an id that cannot be sent.
    let id = MetadataValue::try_from(client_id)
        .map_err(|_| Status::not_found("client id with characters that gRPC cannot send"))?;
    request.metadata_mut().insert("client_id", id);
    Ok(request)
}

/// Reads `bytes` as every reply of a Ray Client server.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    use prost::Message as _;

    if let Ok(reply) = ClusterInfoResponse::decode(bytes) {
        let _ = alive(&reply.json);
        let _ = hex(&reply.context.unwrap_or_default().node_id);
    }
    let _ = std::str::from_utf8(bytes).map(alive);
}

/// Number of nodes that are alive, from the JSON of `ray.nodes()`.
fn alive(json: &str) -> usize {
    let nodes: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    nodes.iter().filter(|node| node["Alive"] == true).count()
}
