//! Calls to the Ray Client port (Ray's "proxier").

use std::error::Error as _;
use std::time::Duration;

use tokio::time::sleep;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use super::beside::beside;
use super::channel::Channel;
use super::gcs::{ClusterState, hex};
use super::wire::{
    CLIENT_AVAILABLE, CLIENT_CONTEXT, CLIENT_NODES, CLIENT_TOTAL, ClusterInfoRequest,
    ClusterInfoResponse, Empty, IS_INITIALIZED, KvRequest, PING,
};
use crate::address::{HostPort, RayAddress};

const CLUSTER_INFO: &str = "/ray.rpc.RayletDriver/ClusterInfo";
const DATAPATH: &str = "/ray.rpc.RayletDataStreamer/Datapath";
const KV_EXISTS: &str = "/ray.rpc.RayletDriver/KVExists";

/// How long the GCS behind a session has to answer a look-up, after the session has answered. A live one
/// takes milliseconds, a dead one never answers (docs/ray-internals.md, GCS-bound calls).
const GCS_BOUND: Duration = Duration::from_millis(750);

/// As [`GCS_BOUND`], for a GCS whose port refuses connections.
const REFUSING_GCS_BOUND: Duration = Duration::from_millis(50);

/// How long a session whose server process is suspect may leave a call unanswered, once the proxy has
/// answered. The proxy itself waits for such a server for 30 s.
const SUSPECT_BOUND: Duration = Duration::from_millis(400);

/// How long the answer to whether `client_id` arrives may come after that to a ping, which takes the
/// same way at the same time.
const ARRIVAL_BOUND: Duration = Duration::from_millis(200);

/// What a Ray Client port says about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// It is known. Whether the GCS behind it answers, too.
    Known { gcs_answers: bool },
    /// It is not known, as after a restart of the head.
    Unknown,
    /// The proxy answers, but cannot reach the server process that it has forked for the session.
    ServerEnded,
}

/// What is known already when a session is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubts {
    /// The port of the GCS refuses connections.
    pub gcs_refuses: bool,
    /// There is reason to believe that the server process of the session has ended.
    pub server_is_suspect: bool,
}

/// Looks at the session `client_id` and at the GCS behind it.
pub(super) async fn session(
    channel: &Channel,
    client_id: &str,
    doubts: Doubts,
) -> Result<Session, Status> {
    let bound = if doubts.gcs_refuses {
        REFUSING_GCS_BOUND
    } else {
        GCS_BOUND
    };
    let server = server_answers(channel, client_id, doubts.server_is_suspect);
    let (server, gcs) = beside(server, gcs_answers(channel, client_id), bound).await;
    Ok(match server? {
        Some(true) => Session::Known {
            gcs_answers: gcs.unwrap_or(false),
        },
        Some(false) => Session::Unknown,
        None => Session::ServerEnded,
    })
}

/// Whether the session is known; `None` when the proxy answers and the server process of the session
/// does not. A server that is only busy is not suspect, and is waited for.
async fn server_answers(
    channel: &Channel,
    client_id: &str,
    is_suspect: bool,
) -> Result<Option<bool>, Status> {
    let alive = session_alive(channel, client_id);
    let proxy_alone = async {
        if !is_suspect {
            return std::future::pending().await;
        }
        // The proxy answers a ping by itself (docs/ray-internals.md, "Probes").
        ping(channel).await?;
        sleep(SUSPECT_BOUND).await;
        Ok(None)
    };
    let alive = tokio::select! {
        alive = alive => alive,
        ended = proxy_alone => return ended,
    };
    match alive {
        Ok(is_known) => Ok(Some(is_known)),
        Err(status) if is_unreachable(&status) => ping(channel).await.map(|()| None),
        Err(status) => Err(status),
    }
}

/// Whether the server itself said so: a failed connection has a source.
fn is_unreachable(status: &Status) -> bool {
    status.code() == Code::Unavailable && status.source().is_none()
}

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

/// Checks that a Ray Client server answers, and that a session could be made there.
///
/// # Errors
/// That of the ping; [`Code::FailedPrecondition`] when the header `client_id` does not arrive.
pub(super) async fn can_connect(channel: &Channel) -> Result<(), Status> {
    let (ping, arrives) = beside(ping(channel), client_id_arrives(channel), ARRIVAL_BOUND).await;
    ping?;
    arrives.unwrap_or(Ok(()))
}

/// Whether the header `client_id`, which Ray wants with each call but a ping, gets to the server.
///
/// Claims to reconnect a session that never was: the server refuses that at once, from memory, and
/// starts nothing. Without the header it says so before (docs/ray-internals.md, "Probes").
async fn client_id_arrives(channel: &Channel) -> Result<(), Status> {
    let mut request = with_session(Empty {}, "seedcore-ray-look")?;
    let metadata = request.metadata_mut();
    metadata.insert("reconnecting", MetadataValue::from_static("True"));
    match channel.call::<Empty, Empty>(DATAPATH, request).await {
        Err(status) if status.code() == Code::FailedPrecondition => Err(status),
        _ => Ok(()),
    }
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
async fn gcs_answers(channel: &Channel, client_id: &str) -> bool {
    let Ok(request) = with_session(KvRequest::cluster_metadata(), client_id) else {
        return true;
    };
    match channel.call::<KvRequest, Empty>(KV_EXISTS, request).await {
        Ok(_) => true,
        // A Ray without this method says nothing about its GCS.
        Err(status) => status.code() == Code::Unimplemented,
    }
}

/// The address of the GCS behind the session `client_id`, as its server knows it.
pub(super) async fn gcs_address(channel: &Channel, client_id: &str) -> Option<HostPort> {
    let context = ask(channel, client_id, CLIENT_CONTEXT)
        .await
        .ok()?
        .context?;
    let address = RayAddress::parse(&context.gcs_address).ok()?;
    address.host_port().cloned()
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
