//! The Ray Client port ("proxier").

use std::time::Duration;

use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use super::channel::Line;
use super::gcs::{ClusterState, hex};
use super::wire::{
    CLIENT_AVAILABLE, CLIENT_CONTEXT, CLIENT_NODES, CLIENT_TOTAL, ClusterInfoRequest,
    ClusterInfoResponse, IS_INITIALIZED, KvExistsRequest, KvExistsResponse, PING,
};

const CLUSTER_INFO: &str = "/ray.rpc.RayletDriver/ClusterInfo";
const KV_EXISTS: &str = "/ray.rpc.RayletDriver/KVExists";

/// A GCS that is there answers a look-up in milliseconds; one that is not, never (ray-facts).
const GCS_BOUND: Duration = Duration::from_millis(750);

/// What the server behind a Ray Client says about its session and its cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionState {
    /// Nodes and resources.
    pub cluster: ClusterState,
    /// Hex id of the node that the server runs on.
    pub node_id: String,
    /// The namespace in force.
    pub namespace: String,
}

/// Is a Ray Client server there? Answered even when the GCS behind it is dead.
pub(super) async fn ping(line: &Line) -> Result<(), Status> {
    let request = ClusterInfoRequest { kind: PING };
    let reply = line.call::<_, ClusterInfoResponse>(CLUSTER_INFO, request);
    reply.await.map(drop)
}

/// Is the session `client_id` still known? A restarted head answers `NOT_FOUND`.
pub(super) async fn session_alive(line: &Line, client_id: &str) -> Result<bool, Status> {
    match ask(line, client_id, IS_INITIALIZED).await {
        Ok(reply) => Ok(reply.json.trim() == "true"),
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(status),
    }
}

/// Does the GCS behind the session `client_id` answer? A question that the server has to pass on.
pub(super) async fn gcs_answers(line: &Line, client_id: &str) -> bool {
    let question = KvExistsRequest {
        key: b"CLUSTER_METADATA".to_vec(),
        namespace: b"cluster".to_vec(),
    };
    let Ok(request) = with_session(question, client_id) else {
        return true;
    };
    let answer = line.send::<_, KvExistsResponse>(KV_EXISTS, request);
    match timeout(GCS_BOUND, answer).await {
        Ok(Ok(_)) => true,
        // A Ray that does not know the question says nothing about its GCS.
        Ok(Err(status)) => status.code() == Code::Unimplemented,
        Err(_) => false,
    }
}

/// What the server of the session `client_id` says, all asked at once; None when it is not known.
pub(super) async fn session_state(
    line: &Line,
    client_id: &str,
) -> Result<Option<SessionState>, Status> {
    let replies = tokio::try_join!(
        ask(line, client_id, CLIENT_NODES),
        ask(line, client_id, CLIENT_TOTAL),
        ask(line, client_id, CLIENT_AVAILABLE),
        ask(line, client_id, CLIENT_CONTEXT),
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

async fn ask(line: &Line, client_id: &str, kind: i32) -> Result<ClusterInfoResponse, Status> {
    let request = with_session(ClusterInfoRequest { kind }, client_id)?;
    line.send(CLUSTER_INFO, request).await
}

fn with_session<Q>(question: Q, client_id: &str) -> Result<Request<Q>, Status> {
    let mut request = Request::new(question);
    // No server can know an id that cannot be sent.
    let id = MetadataValue::try_from(client_id)
        .map_err(|_| Status::not_found("client id with characters that gRPC cannot send"))?;
    request.metadata_mut().insert("client_id", id);
    Ok(request)
}

/// Everything that is read from a Ray Client server, from any bytes.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    use prost::Message as _;

    if let Ok(reply) = ClusterInfoResponse::decode(bytes) {
        let _ = alive(&reply.json);
        let _ = hex(&reply.context.unwrap_or_default().node_id);
    }
    let _ = std::str::from_utf8(bytes).map(alive);
}

/// Nodes that are alive, of the JSON that `ray.nodes()` becomes.
fn alive(json: &str) -> usize {
    let nodes: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let is_alive =
        |node: &&serde_json::Value| node.get("Alive").and_then(serde_json::Value::as_bool);
    nodes
        .iter()
        .filter(|node| is_alive(node) == Some(true))
        .count()
}
