//! Preflight: can connecting work? DNS, TCP, TLS, gRPC, token, version; each step reported.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::address::HostPort;
use crate::config::Env;
use crate::error::ConnectError;

/// Which of Ray's ports an address form needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `host:port`: the GCS.
    Gcs,
    /// `ray://`: the Ray Client proxy.
    Client,
}

/// The token that Ray itself would send, read anew for each connect. Never shown.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Bearer token, if Ray would send one.
    pub token: Option<String>,
    /// Where it was found, or where we looked: for people.
    pub token_source: String,
    /// TLS files, when `RAY_USE_TLS` is on.
    pub tls: Option<TlsFiles>,
}

/// Ray's own TLS variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// `RAY_TLS_SERVER_CERT`
    pub cert: Option<PathBuf>,
    /// `RAY_TLS_SERVER_KEY`
    pub key: Option<PathBuf>,
    /// `RAY_TLS_CA_CERT`
    pub ca: Option<PathBuf>,
}

impl Credentials {
    /// Reads Ray's variables the way Ray does for an explicit address, or, with `auto`, the way
    /// it does for a local cluster.
    pub fn from_env(_env: &Env, _auto: bool) -> Self {
        todo!()
    }
}

/// One hop of the preflight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `dns`, `tcp`, `tls`, `grpc`, `version`...
    pub name: &'static str,
    /// What was found; safe to show.
    pub detail: String,
    /// How long it took.
    pub took: Duration,
    /// Whether it went well.
    pub ok: bool,
}

/// What a passed preflight learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The address that answered.
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

/// Probes one server within `timeout`.
pub async fn probe(
    _server: &HostPort,
    _door: Door,
    _credentials: &Credentials,
    _timeout: Duration,
) -> Report {
    todo!()
}
