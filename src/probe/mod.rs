//! Preflight: checks whether a connect can work. DNS, TCP, TLS, gRPC, token and cluster.
//!
//! [`probe`] is the entry point. Its [`Report`] has every step, and either facts about the cluster or
//! a cause with a hint. Each step is a DEBUG log event as well. Ray's side of the calls is described
//! in docs/ray-internals.md, Probes.
//!
//! Dropping a probe closes its sockets and ends its tasks. Only two things outlive it, both bounded: a
//! name look-up under way in the system's resolver, and the wait for the server's end of a
//! connection that has been closed (`tcp_stream`).

mod beside;
mod causes;
mod channel;
mod credentials;
mod dns;
mod explain;
mod gateways;
mod gcs;
mod gcs_line;
mod greet;
mod http_answer;
mod kept_channel;
pub mod local;
mod local_node;
mod node_ip;
mod open;
mod proxy;
mod ray_client;
mod raylet;
mod report;
mod server;
mod shared_channel;
mod sniff;
mod tcp;
mod tcp_stream;
mod tls;
mod tls_verify;
mod trace;
pub mod version;
mod way;
mod wire;
mod x509;

use std::time::Duration;

use tracing::debug;

pub use credentials::{AuthMode, Credentials, Given, TlsFiles};
pub use dns::after_fork;
pub use gcs::{ClusterState, Table};
pub use kept_channel::{KeptChannel, Keys, PATIENCE, Reply};
pub use local_node::{LocalNode, local_node};
pub use ray_client::SessionState;
pub use raylet::Raylet;
pub use report::{Facts, RayPort, Report, Step, Timeouts};
pub use shared_channel::{Question, Rows, SharedChannel};
pub use way::{Way, tcp_open};

use crate::address::HostPort;
use crate::error::{ConnectError, Kind};
use crate::log_target;
use channel::{LARGE, SMALL};
use open::open;
use server::Server;
use trace::Trace;

/// Probes one server. All steps together take at most `timeouts`.
pub async fn probe(
    server: &HostPort,
    port: RayPort,
    credentials: &Credentials,
    timeouts: impl Into<Timeouts>,
) -> Report {
    let server = Server::new(server.clone(), port);
    let mut trace = Trace::new(&server, timeouts);
    let result = match port {
        RayPort::Client => find_client(credentials, &mut trace).await,
        RayPort::Gcs => find_gcs(credentials, &mut trace).await,
    };
    Report {
        steps: trace.into_steps(),
        result,
    }
}

async fn find_client<'a>(
    credentials: &'a Credentials,
    trace: &mut Trace<'a>,
) -> Result<Facts, ConnectError> {
    if credentials.given.has_credentials {
        return knock(credentials, trace).await;
    }
    let call = open(credentials, SMALL, trace).await?;
    let answer = call.answer(ray_client::can_connect(&call.channel));
    let answers = |(): &()| "Ray Client answers".to_owned();
    trace.step("grpc", answer, answers).await?;
    Ok(Facts {
        peer: Some(call.peer.route.first),
        ..Facts::default()
    })
}

/// Only Ray can read `_credentials`: whether the server answers them is for `ray.init` to find out.
async fn knock(credentials: &Credentials, trace: &mut Trace<'_>) -> Result<Facts, ConnectError> {
    let (_, route) = open::connect(credentials, trace).await?;
    debug!(target: log_target::PROBE, "tls: left to ray.init, which was given _credentials");
    Ok(Facts {
        peer: Some(route.first),
        ..Facts::default()
    })
}

async fn find_gcs<'a>(
    credentials: &'a Credentials,
    trace: &mut Trace<'a>,
) -> Result<Facts, ConnectError> {
    let call = open(credentials, SMALL, trace).await?;
    let alive = call.answer(gcs::check_alive(&call.channel));
    let answers = |version: &Option<String>| match version {
        Some(version) => format!("the GCS answers, Ray {version}"),
        None => "the GCS answers".to_owned(),
    };
    let version = trace.step("grpc", alive, answers).await?;
    let identity = call.answer(gcs::identity(&call.channel));
    let found = trace
        .step("cluster", identity, gcs::Identity::to_string)
        .await?;
    Ok(Facts {
        peer: Some(call.peer.route.first),
        ray_version: found.ray_version.or(version),
        python_version: found.python_version,
        cluster_id: found.cluster_id,
        ray_deadline: found.ray_deadline,
    })
}

/// Nodes and resources, read from the GCS within `timeout`.
///
/// Over a channel of our own: a call inside Ray does not return when the head is lost, and ends the
/// process with it.
///
/// # Errors
/// The cause, when the GCS cannot be asked.
pub async fn cluster_state(
    server: &HostPort,
    credentials: &Credentials,
    timeout: Duration,
) -> Result<ClusterState, ConnectError> {
    let server = Server::new(server.clone(), RayPort::Gcs);
    let mut trace = Trace::new(&server, timeout);
    let call = open(credentials, LARGE, &mut trace).await?;
    let state = call.answer(gcs::state(&call.channel));
    let count = |state: &ClusterState| format!("{} nodes", state.nodes);
    trace.step("grpc", state, count).await
}

/// Whether this Ray Client server still knows the session `client_id`. It does not after a restart
/// of the head, or once it has dropped the session.
///
/// # Errors
/// The cause, when the server cannot be asked.
pub async fn client_session_alive(
    server: &HostPort,
    client_id: &str,
    credentials: &Credentials,
    timeout: Duration,
) -> Result<bool, ConnectError> {
    let server = Server::new(server.clone(), RayPort::Client);
    let mut trace = Trace::new(&server, timeout);
    let call = open(credentials, SMALL, &mut trace).await?;
    let alive = call.answer(ray_client::session_alive(&call.channel, client_id));
    let known = |alive: &bool| format!("session known: {alive}");
    trace.step("grpc", alive, known).await
}

/// Nodes and resources as the server of the session `client_id` sees them, or `None` when it no
/// longer knows the session.
///
/// # Errors
/// The cause, when the server cannot be asked.
pub async fn client_session_state(
    server: &HostPort,
    client_id: &str,
    credentials: &Credentials,
    timeout: Duration,
) -> Result<Option<SessionState>, ConnectError> {
    let server = Server::new(server.clone(), RayPort::Client);
    let mut trace = Trace::new(&server, timeout);
    let call = open(credentials, LARGE, &mut trace).await?;
    let state = call.answer(ray_client::session_state(&call.channel, client_id));
    let count = |state: &Option<SessionState>| match state {
        Some(state) => format!("{} nodes", state.cluster.nodes),
        None => "session not known".to_owned(),
    };
    trace.step("grpc", state, count).await
}

/// The error for a server that answers but has no session of ours.
pub fn session_lost(server: &HostPort) -> ConnectError {
    ConnectError::new(
        Kind::Lost,
        format!("ray://{server}"),
        format!("ray://{server} answers, but no longer knows this process"),
        "The head was restarted. Call ensure_ray_initialized(force_reinit=True).",
    )
}

/// Reads `bytes` as every reply that a server may send (`fuzz/`).
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz_replies(bytes: &[u8]) {
    gcs::fuzz(bytes);
    ray_client::fuzz(bytes);
}
