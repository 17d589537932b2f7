//! The GCS behind a Ray Client port, watched over a connection on which nothing is asked.
//!
//! The Ray Client port does not say when its GCS dies, but it names the GCS. Where that can be reached
//! from here, the kernel tells within milliseconds; elsewhere the checks of the session find out.

use std::net::IpAddr;
use std::time::Duration;

use super::channel::{Channel, SMALL};
use super::credentials::Credentials;
use super::open::open;
use super::report::RayPort;
use super::server::Server;
use super::sniff::Protocol;
use super::trace::Trace;
use crate::address::HostPort;
use crate::error::Kind;

/// How long it may take to connect. Nothing waits for it but one check.
const BOUND: Duration = Duration::from_millis(250);

/// A connection to the GCS behind a session.
#[derive(Default)]
pub(super) struct GcsLine {
    /// Whether the session was asked for the address of its GCS.
    pub was_sought: bool,
    /// The GCS, once it was connected; none while it cannot be reached from here.
    gcs: Option<Server>,
    channel: Option<Channel>,
}

impl GcsLine {
    /// Connects to the GCS that the Ray Client server `client` has named.
    pub async fn open(client: &HostPort, gcs: Option<HostPort>, credentials: &Credentials) -> Self {
        // A loopback address is that of the server's machine, and of this one only if they are one.
        let gcs = gcs.filter(|gcs| !is_loopback(gcs) || is_loopback(client));
        let gcs = gcs.map(|gcs| Server::new(gcs, RayPort::Gcs));
        let channel = match &gcs {
            Some(gcs) => connect(gcs, credentials).await.ok(),
            None => None,
        };
        Self {
            was_sought: true,
            gcs: gcs.filter(|_| channel.is_some()),
            channel,
        }
    }

    /// Completes when the connection has ended; never while there is none.
    pub async fn closed(&self) {
        match &self.channel {
            Some(channel) => channel.closed().await,
            None => std::future::pending().await,
        }
    }

    /// Connects again if the connection has ended. Whether the GCS refuses that.
    pub async fn refuses(&mut self, credentials: &Credentials) -> bool {
        let Some(gcs) = &self.gcs else {
            return false;
        };
        if self
            .channel
            .as_ref()
            .is_some_and(|channel| !channel.is_closed())
        {
            return false;
        }
        let connected = connect(gcs, credentials).await;
        let refuses = matches!(connected, Err(Kind::Refused));
        self.channel = connected.ok();
        refuses
    }
}

async fn connect(gcs: &Server, credentials: &Credentials) -> Result<Channel, Kind> {
    let mut trace = Trace::new(gcs, BOUND);
    let call = open(credentials, SMALL, &mut trace)
        .await
        .map_err(|cause| cause.kind)?;
    // Somebody else may have this address here. A GCS greets with HTTP/2.
    let _ = tokio::time::timeout(BOUND, trace.received.arrived()).await;
    match trace.received.protocol() {
        Protocol::Http2 => Ok(call.channel),
        _ => Err(Kind::NotRay),
    }
}

fn is_loopback(server: &HostPort) -> bool {
    let ip = server.host.parse::<IpAddr>();
    server.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}
