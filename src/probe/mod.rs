//! Preflight: can connecting work? DNS, TCP, TLS, gRPC, token, version; each step reported.
//!
//! [`probe`] is the way in. One file per protocol; [`Report`] has every hop and either facts
//! about the cluster or a cause with a hint. Each hop is a `tracing` debug event as well.
//! Nothing here outlives its future: a dropped probe closes its sockets and ends its tasks
//! (only a name look-up under way in the system's resolver cannot be called off).

mod channel;
mod credentials;
mod dns;
mod explain;
mod gcs;
mod kept_channel;
pub mod local;
mod ray_client;
mod sniff;
mod tcp;
mod tls;
mod tls_verify;
mod trace;
pub mod version;
mod wire;
mod x509;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use http::uri::Scheme;
use tokio::time::error::Elapsed;

pub use credentials::{AuthMode, Credentials, TlsFiles};
pub use gcs::ClusterState;
pub use kept_channel::{KeptChannel, Keys, Seen};
pub use ray_client::SessionState;
pub use tcp::tcp_open;

use crate::address::HostPort;
use crate::error::{ConnectError, Kind};
use channel::{LARGE, Line, SMALL, Stream};
use explain::Call;
use trace::{Ask, Trace};

/// Which of Ray's ports an address form needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RayPort {
    /// `host:port`: the GCS.
    Gcs,
    /// `ray://`: the Ray Client proxy.
    Client,
}

/// One hop of the preflight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `local`, `token`, `dns`, `tcp`, `tls`, `grpc`, `cluster`.
    pub name: &'static str,
    /// What was found; safe to show.
    pub detail: String,
    /// When it began, to be compared with other people's logs.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Whether it went well.
    pub ok: bool,
}

impl Step {
    /// Does `work` as one hop. `detail` puts a good result into words.
    pub fn measure<T>(
        name: &'static str,
        work: impl FnOnce() -> Result<T, ConnectError>,
        detail: impl FnOnce(&T) -> String,
    ) -> (Self, Result<T, ConnectError>) {
        let (at, began) = (SystemTime::now(), Instant::now());
        let result = work();
        let step = Self {
            name,
            detail: match &result {
                Ok(value) => detail(value),
                Err(error) => error.message.clone(),
            },
            at,
            took: began.elapsed(),
            ok: result.is_ok(),
        };
        (step, result)
    }
}

/// What a passed preflight learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Facts {
    /// The address that answered.
    #[serde(skip)]
    pub peer: Option<SocketAddr>,
    /// Ray version of the cluster, where the port tells it (GCS only).
    pub ray_version: Option<String>,
    /// Python version of the cluster (GCS only).
    pub python_version: Option<String>,
    /// Hex cluster id, changes when the head restarts (GCS only).
    pub cluster_id: Option<String>,
}

/// The outcome of one probe.
#[derive(Clone, Debug)]
pub struct Report {
    /// Every hop, in order.
    pub steps: Vec<Step>,
    /// Facts, or the cause.
    pub result: Result<Facts, ConnectError>,
}

/// Probes one server. `timeout` bounds all hops together.
pub async fn probe(
    server: &HostPort,
    ray_port: RayPort,
    credentials: &Credentials,
    timeout: Duration,
) -> Report {
    let ask = Ask::new(server, ray_port);
    let mut trace = Trace::new();
    let work = walk(&ask, ray_port, credentials, &mut trace);
    let outcome = tokio::time::timeout(timeout, work).await;
    let result = settle(outcome, &ask, &mut trace, timeout);
    Report {
        steps: trace.into_steps(),
        result,
    }
}

/// Nodes and resources, read from the GCS over our own channel: bounded, and never pending
/// inside Ray, where a lost head would take the process down with it.
pub async fn cluster_state(
    server: &HostPort,
    credentials: &Credentials,
    timeout: Duration,
) -> Result<ClusterState, ConnectError> {
    let ask = Ask::new(server, RayPort::Gcs);
    let mut trace = Trace::new();
    let work = read_state(&ask, credentials, &mut trace);
    let outcome = tokio::time::timeout(timeout, work).await;
    settle(outcome, &ask, &mut trace, timeout)
}

/// Does this Ray Client server still know the session `client_id`?
///
/// `false` once the head was restarted or has dropped the session; an error when it cannot be
/// asked.
pub async fn client_session_alive(
    server: &HostPort,
    client_id: &str,
    credentials: &Credentials,
    timeout: Duration,
) -> Result<bool, ConnectError> {
    let ask = Ask::new(server, RayPort::Client);
    let mut trace = Trace::new();
    let work = ask_session(&ask, client_id, credentials, &mut trace);
    let outcome = tokio::time::timeout(timeout, work).await;
    settle(outcome, &ask, &mut trace, timeout)
}

/// Nodes and resources as the server of the session `client_id` sees them; None when it no longer
/// knows the session.
pub async fn client_session_state(
    server: &HostPort,
    client_id: &str,
    credentials: &Credentials,
    timeout: Duration,
) -> Result<Option<SessionState>, ConnectError> {
    let ask = Ask::new(server, RayPort::Client);
    let mut trace = Trace::new();
    let work = read_session(&ask, client_id, credentials, &mut trace);
    let outcome = tokio::time::timeout(timeout, work).await;
    settle(outcome, &ask, &mut trace, timeout)
}

/// Reads `bytes` as every reply that a server may give (`fuzz/`).
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz_replies(bytes: &[u8]) {
    gcs::fuzz(bytes);
    ray_client::fuzz(bytes);
}

/// The server answers, and has no session of ours.
pub fn session_lost(server: &HostPort) -> ConnectError {
    ConnectError::new(
        Kind::Lost,
        format!("ray://{server}"),
        format!("ray://{server} answers, but no longer knows this process"),
        "The head was restarted. Call ensure_ray_initialized(force_reinit=True).",
    )
}

/// What the work said, or which hop the bound struck.
fn settle<T>(
    outcome: Result<Result<T, ConnectError>, Elapsed>,
    ask: &Ask<'_>,
    trace: &mut Trace,
    bound: Duration,
) -> Result<T, ConnectError> {
    outcome.unwrap_or_else(|_| Err(trace.cut_off(ask, bound)))
}

async fn walk(
    ask: &Ask<'_>,
    ray_port: RayPort,
    credentials: &Credentials,
    trace: &mut Trace,
) -> Result<Facts, ConnectError> {
    let call = open(ask, ray_port, credentials, SMALL, trace).await?;
    let peer = Some(call.peer);
    if ray_port == RayPort::Client {
        let ping = call.answer(ray_client::ping(&call.line));
        let answers = |(): &()| "Ray Client answers".to_owned();
        trace.step("grpc", ping, answers).await?;
        return Ok(Facts {
            peer,
            ..Facts::default()
        });
    }
    let alive = call.answer(gcs::check_alive(&call.line));
    let version = trace
        .step("grpc", alive, |v| gcs_answers(v.as_deref()))
        .await?;
    let identity = call.answer(gcs::identity(&call.line));
    let found = trace.step("cluster", identity, cluster_found).await?;
    Ok(Facts {
        peer,
        ray_version: found.ray_version.or(version),
        python_version: found.python_version,
        cluster_id: found.cluster_id,
    })
}

async fn read_state(
    ask: &Ask<'_>,
    credentials: &Credentials,
    trace: &mut Trace,
) -> Result<ClusterState, ConnectError> {
    let call = open(ask, RayPort::Gcs, credentials, LARGE, trace).await?;
    let state = call.answer(gcs::state(&call.line));
    let count = |state: &ClusterState| format!("{} nodes", state.nodes);
    trace.step("grpc", state, count).await
}

async fn ask_session(
    ask: &Ask<'_>,
    client_id: &str,
    credentials: &Credentials,
    trace: &mut Trace,
) -> Result<bool, ConnectError> {
    let call = open(ask, RayPort::Client, credentials, SMALL, trace).await?;
    let alive = call.answer(ray_client::session_alive(&call.line, client_id));
    let known = |alive: &bool| format!("session known: {alive}");
    trace.step("grpc", alive, known).await
}

async fn read_session(
    ask: &Ask<'_>,
    client_id: &str,
    credentials: &Credentials,
    trace: &mut Trace,
) -> Result<Option<SessionState>, ConnectError> {
    let call = open(ask, RayPort::Client, credentials, LARGE, trace).await?;
    let state = call.answer(ray_client::session_state(&call.line, client_id));
    let count = |state: &Option<SessionState>| match state {
        Some(state) => format!("{} nodes", state.cluster.nodes),
        None => "session not known".to_owned(),
    };
    trace.step("grpc", state, count).await
}

fn gcs_answers(version: Option<&str>) -> String {
    match version {
        Some(version) => format!("the GCS answers, Ray {version}"),
        None => "the GCS answers".to_owned(),
    }
}

fn cluster_found(found: &gcs::Identity) -> String {
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    format!(
        "Ray {}, Python {}, cluster {}",
        or_unknown(&found.ray_version),
        or_unknown(&found.python_version),
        or_unknown(&found.cluster_id)
    )
}

/// Token, name, TCP and TLS: everything below the first call.
async fn open<'a>(
    ask: &'a Ask<'a>,
    ray_port: RayPort,
    credentials: &'a Credentials,
    max_message: usize,
    trace: &mut Trace,
) -> Result<Call<'a>, ConnectError> {
    let token = match credentials.mode {
        AuthMode::Token => {
            let place = credentials.token_source.clone();
            let header = async { credentials.header(ask) };
            trace
                .step("token", header, |_| format!("from {place}"))
                .await?
        }
        _ => credentials.header(ask)?,
    };
    let addresses = trace
        .step("dns", dns::resolve(ask), |found| list(found))
        .await?;
    let (tcp, peer) = trace
        .step("tcp", tcp::connect(ask, &addresses), |(_, peer)| {
            format!("connected to {peer}")
        })
        .await?;
    let ear = trace.ear.clone();
    let (stream, scheme): (Box<dyn Stream>, _) = match &credentials.tls {
        None => (Box::new(sniff::Peeked::new(tcp, ear)), Scheme::HTTP),
        Some(files) => {
            let handshake = tls::handshake(ask, files, tcp, peer);
            let tls = trace.step("tls", handshake, tls::agreed).await?;
            (Box::new(sniff::Peeked::new(tls, ear)), Scheme::HTTPS)
        }
    };
    let Ok(line) = Line::open(stream, ask.server, scheme, token, max_message).await else {
        return Err(no_greeting(ask, credentials, peer, trace).await);
    };
    Ok(Call {
        ask,
        ray_port,
        credentials,
        line,
        peer,
        ear: trace.ear.clone(),
    })
}

/// The server hung up so fast that not even our greeting went out.
async fn no_greeting(
    ask: &Ask<'_>,
    credentials: &Credentials,
    peer: SocketAddr,
    trace: &mut Trace,
) -> ConnectError {
    let ear = trace.ear.clone();
    let failure = async {
        Err(explain::hung_up(ask, credentials, peer, &ear, tonic::Code::Unavailable).await)
    };
    let step: Result<Infallible, _> = trace.step("grpc", failure, |_| String::new()).await;
    let Err(error) = step;
    error
}

fn list(addresses: &[SocketAddr]) -> String {
    let shown: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    shown.join(", ")
}
