//! TCP: every resolved address gets its chance, none can eat the bound.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::trace::{Ask, show};
use super::{RayPort, dns};
use crate::address::HostPort;
use crate::error::{ConnectError, Kind};

/// How long an attempt may be silent before the next address starts beside it.
const HEAD_START: Duration = Duration::from_millis(100);

/// The bare TCP poll: does anything accept on this port?
///
/// Costs the server one accept and no gRPC traffic. `timeout` bounds name look-up and connect
/// together.
pub async fn tcp_open(server: &HostPort, timeout: Duration) -> Result<(), ConnectError> {
    let ask = Ask::new(server, RayPort::Gcs);
    let work = async { connect(&ask, &dns::resolve(&ask).await?).await };
    match tokio::time::timeout(timeout, work).await {
        Ok(result) => result.map(drop),
        Err(_) => Err(silent(&ask, timeout)),
    }
}

/// The first of `addresses` that accepts.
pub(super) async fn connect(
    ask: &Ask<'_>,
    addresses: &[SocketAddr],
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let (stream, peer) = race(addresses)
        .await
        .map_err(|failures| describe(ask, &failures))?;
    // Small frames both ways: with Nagle's algorithm each call costs 40 ms of delayed ACK.
    let _ = stream.set_nodelay(true);
    Ok((stream, peer))
}

/// Connects to one known address; its failure is of no interest.
pub(super) async fn again(peer: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect(peer).await.ok()?;
    let _ = stream.set_nodelay(true);
    Some(stream)
}

/// The bound struck before any address answered.
pub(super) fn silent(ask: &Ask<'_>, bound: Duration) -> ConnectError {
    ask.error(
        Kind::Timeout,
        &format!("no answer to the TCP connect within {bound:?}"),
        "the packets vanish: check that the host is up and that no firewall, security group or \
         NetworkPolicy drops them",
    )
}

type Failure = (SocketAddr, io::Error);

/// A small happy-eyeballs: the next address starts when the last one failed, or is slow.
///
/// The attempts live in a [`JoinSet`], so dropping this future closes every one of them.
async fn race(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Vec<Failure>> {
    let mut waiting = addresses.iter().copied();
    let mut attempts = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        let next = waiting.next();
        if let Some(address) = next {
            attempts.spawn(async move { (address, TcpStream::connect(address).await) });
        }
        let head_start = next.map(|_| HEAD_START).filter(|_| waiting.len() > 0);
        match first_of(&mut attempts, head_start).await {
            Outcome::Done(address, Ok(stream)) => return Ok((stream, address)),
            Outcome::Done(address, Err(error)) => failures.push((address, error)),
            Outcome::Slow => {}
            Outcome::NoneLeft => return Err(failures),
        }
    }
}

enum Outcome {
    Done(SocketAddr, io::Result<TcpStream>),
    Slow,
    NoneLeft,
}

async fn first_of(
    attempts: &mut JoinSet<(SocketAddr, io::Result<TcpStream>)>,
    patience: Option<Duration>,
) -> Outcome {
    let joined = match patience {
        None => attempts.join_next().await,
        Some(patience) => match tokio::time::timeout(patience, attempts.join_next()).await {
            Ok(joined) => joined,
            Err(_) => return Outcome::Slow,
        },
    };
    match joined {
        Some(Ok((address, result))) => Outcome::Done(address, result),
        // An attempt that was torn away with its runtime: nothing to report about the server.
        Some(Err(_)) => Outcome::Slow,
        None => Outcome::NoneLeft,
    }
}

/// The most telling failure decides: a refusal proves that the host is there.
fn describe(ask: &Ask<'_>, failures: &[Failure]) -> ConnectError {
    let told = failures
        .iter()
        .map(|(_, error)| kind_of(error))
        .min_by_key(|kind| match kind {
            Kind::Refused => 0,
            Kind::NotReady => 1,
            Kind::Timeout => 2,
            _ => 3,
        })
        .unwrap_or(Kind::Unreachable);
    let cause = cause_of(ask, told, failures);
    ask.error(told, &cause, hint_of(ask, told))
}

fn kind_of(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Kind::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Kind::NotReady,
        io::ErrorKind::TimedOut => Kind::Timeout,
        _ => Kind::Unreachable,
    }
}

fn cause_of(ask: &Ask<'_>, kind: Kind, failures: &[Failure]) -> String {
    let mut text = match kind {
        Kind::Refused => "connection refused, nothing listens on this port".to_owned(),
        Kind::NotReady => "the connection was reset while it was being made".to_owned(),
        Kind::Timeout => "the system gave up connecting (timed out)".to_owned(),
        _ => {
            let why = failures.first().map(|(_, error)| error.to_string());
            format!(
                "the host cannot be reached: {}",
                why.unwrap_or_else(|| "no address to try".to_owned())
            )
        }
    };
    // A literal address is in the message already; a name hides what was really tried.
    let tried: Vec<String> = failures.iter().map(|(a, _)| a.to_string()).collect();
    if !tried.is_empty() && tried != [show(ask.server)] {
        let _ = write!(text, " (tried {})", tried.join(", "));
    }
    text
}

fn hint_of(ask: &Ask<'_>, kind: Kind) -> String {
    match kind {
        Kind::Refused if ask.shown.starts_with("ray://") => {
            "check that the head runs and that its Ray Client port is the one in the address \
             (ray start --ray-client-server-port, default 10001)"
                .to_owned()
        }
        Kind::Refused => "check that the head runs and that its GCS port is the one in the \
             address (ray start --head --port, default 6379)"
            .to_owned(),
        Kind::NotReady => "something between here and Ray resets connections; if the head is \
             starting, wait, else check proxies and port-forwards"
            .to_owned(),
        _ => "check the address, the routes and the firewall between this machine and the head"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    #[test]
    fn a_refusal_tells_more_than_a_missing_route() -> Result<(), std::net::AddrParseError> {
        let server = HostPort {
            host: "head".to_owned(),
            port: 6379,
        };
        let ask = Ask::new(&server, RayPort::Gcs);
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
        let error = describe(&ask, &failures);
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.message.contains("tried [::1]:6379, 1.2.3.4:6379"));
        Ok(())
    }

    /// Its queue is full, so the kernel drops further SYNs: nothing is refused, nothing answers.
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
