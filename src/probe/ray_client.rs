//! The Ray Client port ("proxier").

use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Request, Status};

use super::gcs::{ClusterState, hex};
use super::grpc::Line;
use super::wire::{
    AVAILABLE_RESOURCES, CLUSTER_NODES, CLUSTER_RESOURCES, ClusterInfoRequest, ClusterInfoResponse,
    IS_INITIALIZED, PING, RUNTIME_CONTEXT,
};

const CLUSTER_INFO: &str = "/ray.rpc.RayletDriver/ClusterInfo";

/// Is a Ray Client server there? Answered even when the GCS behind it is dead.
pub(super) async fn ping(line: &Line) -> Result<(), Status> {
    let request = ClusterInfoRequest { kind: PING };
    let reply = line.call::<_, ClusterInfoResponse>(CLUSTER_INFO, request);
    reply.await.map(drop)
}

/// Is the session `client_id` still known? A restarted head answers `NOT_FOUND`.
pub(super) async fn session_alive(line: &Line, client_id: &str) -> Result<bool, Status> {
    let Some(id) = sendable(client_id) else {
        return Ok(false);
    };
    match ask(line, &id, IS_INITIALIZED).await {
        Ok(reply) => Ok(reply.json.trim() == "true"),
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(status),
    }
}

/// What the cluster has, as the session's own server sees it.
///
/// That server calls into Ray for it, on the head: nothing is ever pending in this process.
pub(super) async fn session_state(line: &Line, client_id: &str) -> Result<ClusterState, Status> {
    let Some(id) = sendable(client_id) else {
        return Err(Status::not_found("no server can know this client id"));
    };
    let (total, available, nodes, context) = tokio::try_join!(
        ask(line, &id, CLUSTER_RESOURCES),
        ask(line, &id, AVAILABLE_RESOURCES),
        ask(line, &id, CLUSTER_NODES),
        ask(line, &id, RUNTIME_CONTEXT),
    )?;
    let amounts = |reply: ClusterInfoResponse| reply.resources.unwrap_or_default().amounts;
    Ok(ClusterState {
        total: amounts(total),
        available: amounts(available),
        nodes: alive_nodes(&nodes.json),
        node_id: context.context.map(|context| hex(&context.node_id)),
    })
}

async fn ask(line: &Line, id: &ClientId, kind: i32) -> Result<ClusterInfoResponse, Status> {
    let mut request = Request::new(ClusterInfoRequest { kind });
    request.metadata_mut().insert("client_id", id.clone());
    line.send(CLUSTER_INFO, request).await
}

type ClientId = MetadataValue<Ascii>;

/// No server can know an id that cannot be sent.
fn sendable(client_id: &str) -> Option<ClientId> {
    MetadataValue::try_from(client_id).ok()
}

/// `ray.nodes()` as JSON: a list of objects with `Alive`, among much else.
fn alive_nodes(json: &str) -> usize {
    let nodes: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let is_alive = |node: &&serde_json::Value| node.get("Alive") == Some(&true.into());
    nodes.iter().filter(is_alive).count()
}
