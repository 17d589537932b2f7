//! Opens a channel to a server: token, name, TCP, TLS and the HTTP/2 preface.

use http::uri::Scheme;
use tonic::Code;

use super::channel::{Channel, Stream};
use super::credentials::{AuthMode, Credentials};
use super::explain::{Call, Peer};
use super::sniff::record;
use super::tcp_stream::TcpStream;
use super::tls;
use super::trace::Trace;
use super::way::{Hop, Route};
use crate::error::ConnectError;

/// Opens a channel whose replies may take `max_message` bytes. Each step is recorded in `trace`.
///
/// # Errors
/// The cause by which a step failed, the timeout of `trace` included.
pub(super) async fn open<'a>(
    credentials: &'a Credentials,
    max_message: usize,
    trace: &mut Trace<'a>,
) -> Result<Call<'a>, ConnectError> {
    let server = trace.server;
    let headers = async { credentials.headers(server) };
    let headers = if credentials.mode == AuthMode::Token {
        let from = |_: &_| format!("from {}", credentials.token_source);
        trace.step("token", headers, from).await?
    } else {
        headers.await?
    };
    let (tcp, route) = connect(credentials, trace).await?;
    let (stream, scheme): (Box<dyn Stream>, _) = match &credentials.tls {
        None => (Box::new(record(tcp, &trace.received)), Scheme::HTTP),
        Some(files) => {
            let handshake = tls::handshake(server, files, tcp, &route);
            let tls = trace.step("tls", handshake, tls::agreed).await?;
            (Box::new(record(tls, &trace.received)), Scheme::HTTPS)
        }
    };
    let peer = Peer {
        server,
        credentials,
        route,
        received: trace.received.clone(),
    };
    let opened = async {
        match Channel::open(stream, &server.address, scheme, headers, max_message).await {
            Ok(channel) => Ok(channel),
            // The server closed the connection before our preface was written.
            Err(_) => Err(peer.hung_up(Code::Unavailable).await),
        }
    };
    let channel = trace.first_part("grpc", opened).await?;
    Ok(Call { peer, channel })
}

/// Resolves the name and connects by TCP, the way that Ray would take.
///
/// # Errors
/// The cause by which a step failed, the timeout of `trace` included.
pub(super) async fn connect(
    credentials: &Credentials,
    trace: &mut Trace<'_>,
) -> Result<(TcpStream, Route), ConnectError> {
    let found = credentials.way.find(trace.server);
    let hop = trace.step("dns", found, Hop::detail).await?;
    let connected = trace
        .step("tcp", hop.connect(), |(_, route)| route.detail())
        .await;
    connected.map_err(|cause| hop.blame(cause))
}
