//! What a native Ray dials in place of a loopback name: this node's own IP.
//!
//! The rules are those of `resolve_ip_for_localhost` in `ray/_private/services.py` and of the function
//! behind it (docs/ray-internals.md, Gateways and environments).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::dns;
use super::server::Server;
use super::tcp_stream::TcpStream;
use crate::address::{DEFAULT_CLIENT_PORT, HostPort};
use crate::error::{ConnectError, Kind};
use crate::platform;

/// How long the name itself, at which Ray does not look, has to accept. It is on this machine.
const BOUND: Duration = Duration::from_millis(250);

/// A head that starts opens its sockets one after the other.
const SAME_MOMENT: Duration = Duration::from_millis(5);

/// Whether Ray replaces the host before it dials. No other spelling of a loopback address is.
pub(super) fn is_replaced(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

/// This node's IP as Ray finds it: the source address of the way to anywhere, else the address of the
/// host name. Nothing is sent.
pub(super) async fn find() -> Option<IpAddr> {
    let anywhere = [
        ("0.0.0.0:0", "8.8.8.8:53"),
        ("[::]:0", "[2001:4860:4860::8888]:53"),
    ];
    let ways = anywhere
        .into_iter()
        .find_map(|(from, to)| source(from, to).ok());
    if ways.is_some() {
        return ways;
    }
    let name = platform::here().host_name()?;
    dns::look_up(&name).await.ok()?.first().copied()
}

fn source(from: &str, to: &str) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind(from)?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// The error for a failed connect to `dialled`, this node's IP, in place of the name in `server`. The
/// name itself may be a tunnel, which Ray will never find: no time can cure that.
pub(super) async fn explain(
    server: &Server,
    dialled: &HostPort,
    cause: ConnectError,
) -> ConnectError {
    let written = &server.address;
    if cause.kind == Kind::Refused && accepts(written).await {
        sleep(SAME_MOMENT).await;
        if !accepts(dialled).await {
            return tunnel(server, dialled);
        }
    }
    ConnectError {
        message: format!(
            "{}; natively Ray dials {dialled} in place of {written}",
            cause.message
        ),
        ..cause
    }
}

async fn accepts(server: &HostPort) -> bool {
    let host = match server.host.as_str() {
        // Where port-forwards listen; `localhost` may mean ::1 too.
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => match host.parse() {
            Ok(ip) => ip,
            Err(_) => return false,
        },
    };
    let connect = TcpStream::connect(SocketAddr::new(host, server.port));
    matches!(timeout(BOUND, connect).await, Ok(Ok(_)))
}

fn tunnel(server: &Server, dialled: &HostPort) -> ConnectError {
    let written = &server.address;
    let client = server.at_port(DEFAULT_CLIENT_PORT);
    server.error(
        Kind::WrongPort,
        format!(
            "natively Ray dials {dialled} in place of {written}, and nothing listens there; what \
             listens on {written} alone is a tunnel or port-forward"
        ),
        format!(
            "use ray:// for tunnels and port-forwards (forward the Ray Client port, \
             {DEFAULT_CLIENT_PORT}, and connect to ray://{client}); a native driver needs a node of \
             the cluster on this machine"
        ),
    )
}
