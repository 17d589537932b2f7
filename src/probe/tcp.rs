//! TCP connect in the style of Happy Eyeballs (RFC 8305): attempts are staggered, so that one silent
//! address cannot use up the timeout.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;

use super::report::RayPort;
use super::server::Server;
use super::tcp_stream::TcpStream;
use crate::error::{ConnectError, Kind};

/// How long an attempt runs alone before the one to the next address starts beside it.
const HEAD_START: Duration = Duration::from_millis(100);

/// Connects to the first of `addresses` that accepts.
///
/// # Errors
/// The most informative of the failures, when no address accepts.
pub(super) async fn connect(
    server: &Server,
    addresses: &[SocketAddr],
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let raced = race(addresses).await;
    raced.map_err(|failures| describe(server, &failures))
}

type Failure = (SocketAddr, io::Error);

/// Starts the attempt to the next address when the last one has failed or is slow.
///
/// The attempts run in a [`JoinSet`]: dropping this future closes every one of them.
async fn race(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Vec<Failure>> {
    let mut waiting = addresses.iter().copied();
    let mut attempts = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        if let Some(address) = waiting.next() {
            attempts.spawn(async move { (address, TcpStream::connect(address).await) });
        }
        let head_start = match waiting.len() {
            0 => Duration::MAX,
            _ => HEAD_START,
        };
        match tokio::time::timeout(head_start, attempts.join_next()).await {
            Ok(Some(Ok((address, Ok(stream))))) => return Ok((stream, address)),
            Ok(Some(Ok((address, Err(error))))) => failures.push((address, error)),
            Ok(None) => return Err(failures),
            // Slow, or cancelled with its runtime, which says nothing about the server.
            Err(_) | Ok(Some(Err(_))) => {}
        }
    }
}

/// The error of a connect whose attempts all failed. A refusal counts most: it proves that the host
/// is there.
fn describe(server: &Server, failures: &[Failure]) -> ConnectError {
    let kind = failures
        .iter()
        .map(|(_, error)| kind_of(error))
        .min_by_key(|kind| match kind {
            Kind::Refused => 0,
            Kind::NotReady => 1,
            Kind::Timeout => 2,
            _ => 3,
        })
        .unwrap_or(Kind::Unreachable);
    let (mut cause, hint) = cause_and_hint(server.ray_port, kind, failures);
    // A literal address is in the message already; a name hides what was really tried.
    let tried: Vec<String> = failures.iter().map(|(a, _)| a.to_string()).collect();
    if !tried.is_empty() && tried != [server.address.to_string()] {
        let _ = write!(cause, " (tried {})", tried.join(", "));
    }
    server.error(kind, cause, hint)
}

fn cause_and_hint(port: RayPort, kind: Kind, failures: &[Failure]) -> (String, &'static str) {
    match kind {
        Kind::Refused => (
            "connection refused, nothing listens on this port".to_owned(),
            match port {
                RayPort::Client => {
                    "check that the head runs and that its Ray Client port is the one in the \
                     address (ray start --ray-client-server-port, default 10001)"
                }
                RayPort::Gcs => {
                    "check that the head runs and that its GCS port is the one in the address \
                     (ray start --head --port, default 6379)"
                }
            },
        ),
        Kind::NotReady => (
            "the connection was reset while it was being made".to_owned(),
            "something between here and Ray resets connections; if the head is starting, wait, \
             else check proxies and port-forwards",
        ),
        Kind::Timeout => (
            "the system gave up connecting (timed out)".to_owned(),
            CHECK_THE_WAY,
        ),
        _ => {
            let why = failures.first().map(|(_, error)| error.to_string());
            let why = why.unwrap_or_else(|| "no address to try".to_owned());
            (format!("the host cannot be reached: {why}"), CHECK_THE_WAY)
        }
    }
}

const CHECK_THE_WAY: &str =
    "check the address, the routes and the firewall between this machine and the head";

fn kind_of(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Kind::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Kind::NotReady,
        io::ErrorKind::TimedOut => Kind::Timeout,
        _ => Kind::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::HostPort;
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    #[test]
    fn a_refusal_tells_more_than_a_missing_route() -> Result<(), std::net::AddrParseError> {
        let server = HostPort {
            host: "head".to_owned(),
            port: 6379,
        };
        let server = Server::new(server, RayPort::Gcs);
        let failures = [
            (
                "[::1]:6379".parse()?,
                io::ErrorKind::NetworkUnreachable.into(),
            ),
            (
                "1.2.3.4:6379".parse()?,
                io::ErrorKind::ConnectionRefused.into(),
            ),
        ];
        let error = describe(&server, &failures);
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.message.contains("tried [::1]:6379, 1.2.3.4:6379"));
        Ok(())
    }

    /// A listener whose queue is full: the kernel drops further SYNs, and nothing is refused.
    async fn black_hole() -> io::Result<(TcpListener, Vec<TcpStream>)> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let listener = socket.listen(1)?;
        let address = listener.local_addr()?;
        let mut queue = Vec::new();
        let patience = Duration::from_millis(200);
        while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
            queue.push(stream?);
        }
        Ok((listener, queue))
    }

    #[tokio::test]
    async fn a_black_hole_does_not_eat_the_bound_of_the_next_address() -> io::Result<()> {
        let (hole, _queue) = black_hole().await?;
        let good = TcpListener::bind("127.0.0.1:0").await?;
        let addresses = [hole.local_addr()?, hole.local_addr()?, good.local_addr()?];
        let raced = tokio::time::timeout(Duration::from_secs(5), race(&addresses)).await;
        let winner = raced.ok().and_then(Result::ok).map(|(_, peer)| peer);
        assert_eq!(winner, Some(good.local_addr()?));
        Ok(())
    }
}
