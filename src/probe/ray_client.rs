//! The Ray Client port ("proxier").

use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use super::grpc::Line;
use super::wire::{ClusterInfoRequest, ClusterInfoResponse, IS_INITIALIZED, PING};

const CLUSTER_INFO: &str = "/ray.rpc.RayletDriver/ClusterInfo";

/// Is a Ray Client server there? Answered even when the GCS behind it is dead.
pub(super) async fn ping(line: &Line) -> Result<(), Status> {
    let request = ClusterInfoRequest { kind: PING };
    let reply = line.call::<_, ClusterInfoResponse>(CLUSTER_INFO, request);
    reply.await.map(drop)
}

/// Is the session `client_id` still known? A restarted head answers `NOT_FOUND`.
pub(super) async fn session_alive(line: &Line, client_id: &str) -> Result<bool, Status> {
    let mut request = Request::new(ClusterInfoRequest {
        kind: IS_INITIALIZED,
    });
    let Ok(id) = MetadataValue::try_from(client_id) else {
        // No server can know an id that cannot be sent.
        return Ok(false);
    };
    request.metadata_mut().insert("client_id", id);
    match line
        .send::<_, ClusterInfoResponse>(CLUSTER_INFO, request)
        .await
    {
        Ok(reply) => Ok(reply.json.trim() == "true"),
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(status),
    }
}
