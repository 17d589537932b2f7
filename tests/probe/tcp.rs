//! Peers that never get as far as gRPC.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use seedcore_ray::address::HostPort;
use seedcore_ray::error::Kind;
use seedcore_ray::probe::{Credentials, RayPort, Way, probe, tcp_open};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::peer::{BOUND, SHORT, assert_failure, at, check, raw, silent};

/// A port that nothing listens on: it was free a moment ago.
async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A listener whose queue is full: the kernel drops further SYNs.
pub struct BlackHole {
    pub address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    pub async fn open() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
            queue.push(stream.unwrap());
        }
        Self {
            address,
            _listener: listener,
            _queue: queue,
        }
    }
}

#[tokio::test]
async fn a_closed_port_is_refused_at_once() {
    let server = at(closed_port().await);
    let began = Instant::now();
    let report = probe(&server, RayPort::Client, &Credentials::default(), BOUND).await;
    assert!(began.elapsed() < Duration::from_secs(1));
    let error = check(report.result.unwrap_err());
    assert_failure(&error, Kind::Refused, "nothing listens");
    assert!(error.address.starts_with("ray://127.0.0.1:"));
    let names: Vec<_> = report
        .steps
        .iter()
        .map(|step| (step.name, step.ok))
        .collect();
    assert_eq!(names, [("dns", true), ("tcp", false)]);
}

#[tokio::test]
async fn the_bare_tcp_poll_tells_open_from_closed() {
    let open = raw(|_| async {}).await;
    assert_eq!(
        tcp_open(&open.server(), RayPort::Gcs, &Way::default(), BOUND).await,
        Ok(())
    );
    let closed = at(closed_port().await);
    let error = tcp_open(&closed, RayPort::Gcs, &Way::default(), BOUND)
        .await
        .unwrap_err();
    assert_failure(&error, Kind::Refused, "refused");
}

#[tokio::test]
async fn a_black_hole_is_a_timeout_in_the_tcp_phase() {
    let hole = BlackHole::open().await;
    let server = at(hole.address);
    let report = probe(&server, RayPort::Gcs, &Credentials::default(), SHORT).await;
    assert_failure(
        &check(report.result.unwrap_err()),
        Kind::Timeout,
        "TCP connect",
    );
    let error = tcp_open(&server, RayPort::Gcs, &Way::default(), SHORT)
        .await
        .unwrap_err();
    assert_failure(&error, Kind::Timeout, "TCP connect");
}

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    let server = HostPort {
        host: "no-such-host.invalid".to_owned(),
        port: 10001,
    };
    let report = probe(&server, RayPort::Client, &Credentials::default(), BOUND).await;
    let error = check(report.result.unwrap_err());
    assert_failure(&error, Kind::Dns, "no-such-host.invalid does not resolve");
}

#[tokio::test]
async fn a_name_with_several_addresses_finds_the_one_that_listens() {
    // localhost is ::1 and 127.0.0.1 on most machines; only the latter listens.
    let peer = raw(|_| async {}).await;
    let server = HostPort {
        host: "localhost".to_owned(),
        port: peer.address.port(),
    };
    assert_eq!(
        tcp_open(&server, RayPort::Gcs, &Way::default(), BOUND).await,
        Ok(())
    );
}

#[tokio::test]
async fn a_silent_listener_is_a_timeout_that_names_the_phase() {
    let peer = silent().await;
    for ray_port in [RayPort::Client, RayPort::Gcs] {
        let began = Instant::now();
        let report = probe(&peer.server(), ray_port, &Credentials::default(), SHORT).await;
        assert!(began.elapsed() >= SHORT);
        let error = check(report.result.unwrap_err());
        assert_failure(
            &error,
            Kind::Timeout,
            "says nothing within 200ms (phase grpc)",
        );
    }
}

/// Reads the preface, so that closing later sends FIN and not RST.
async fn greeted(stream: &mut TcpStream) {
    let mut greeting = [0; 24];
    let _ = stream.read_exact(&mut greeting).await;
}

#[tokio::test]
async fn a_web_server_whose_answer_was_lost_to_a_reset_is_known_by_a_second_look() {
    let peer = raw(|mut stream| async move {
        let mut first = [0; 3];
        if stream.read_exact(&mut first).await.is_ok() && &first == b"GET" {
            let _ = stream.read_exact(&mut [0; 15]).await;
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
        }
    })
    .await;
    let error = peer.failure(RayPort::Client, &Credentials::default()).await;
    assert_failure(&error, Kind::NotRay, "a web server answers");
}

/// A peer that reads the preface, sends `bytes` and closes.
async fn says(bytes: &'static [u8]) -> crate::peer::Peer {
    raw(move |mut stream| async move {
        greeted(&mut stream).await;
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await
}

#[tokio::test]
async fn a_server_of_another_protocol_is_named() {
    let cases: [(&'static [u8], Kind, &str); 12] = [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            Kind::NotRay,
            "a web server answers",
        ),
        (
            b"<!DOCTYPE HTML>\n<html>",
            Kind::NotRay,
            "a web server answers",
        ),
        (
            b"SSH-2.0-OpenSSH_9.6\r\n",
            Kind::NotRay,
            "SSH-2.0-OpenSSH_9.6",
        ),
        (b"-ERR unknown command 'PRI'\r\n", Kind::NotRay, "Redis"),
        (
            b"\x00\xff\x13\x37garbage\x80\x81",
            Kind::NotRay,
            "no protocol",
        ),
        (
            b"\x15\x03\x01\x00\x02\x02\x46",
            Kind::Tls,
            "RAY_USE_TLS is not set",
        ),
        // SETTINGS, then nothing more: Ray, but leaving.
        (b"\0\0\0\x04\0\0\0\0\0", Kind::NotReady, "hung up"),
        // SETTINGS, then garbage.
        (
            b"\0\0\0\x04\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            Kind::NotRay,
            "no protocol",
        ),
        // GOAWAY at once.
        (
            b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0",
            Kind::NotReady,
            "hung up",
        ),
        // Half a frame header.
        (b"\0\0\x06\x04", Kind::NotRay, "no protocol"),
        // A frame of 16 MB is announced.
        (b"\xff\xff\xff\x04\0\0\0\0\0", Kind::NotRay, "no protocol"),
        (b"", Kind::NotReady, "closed without a word"),
    ];
    for (bytes, kind, words) in cases {
        let peer = says(bytes).await;
        for ray_port in [RayPort::Client, RayPort::Gcs] {
            let error = peer.failure(ray_port, &Credentials::default()).await;
            assert_failure(&error, kind, words);
        }
    }
}

#[tokio::test]
async fn a_peer_that_closes_or_resets_at_once_is_not_called_tls() {
    let closes = raw(|stream| async move { drop(stream) }).await;
    let resets = raw(|stream| async move {
        stream.set_zero_linger().unwrap();
    })
    .await;
    for peer in [closes, resets] {
        let error = peer.failure(RayPort::Gcs, &Credentials::default()).await;
        assert_eq!(error.kind, Kind::NotReady, "{error:?}");
    }
}

#[tokio::test]
async fn slow_bytes_cannot_stretch_the_bound() {
    let peer = raw(|mut stream| async move {
        // One byte of an endless banner at a time.
        while stream.write_all(b"\0").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let report = probe(&peer.server(), RayPort::Gcs, &Credentials::default(), SHORT).await;
    let error = report.result.unwrap_err();
    assert!(
        matches!(error.kind, Kind::Timeout | Kind::NotRay),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_dropped_probe_closes_its_connection() {
    let (closed, mut heard) = tokio::sync::mpsc::channel(1);
    let (greeting, mut began) = tokio::sync::mpsc::channel(1);
    let peer = raw(move |mut stream| {
        let (closed, greeting) = (closed.clone(), greeting.clone());
        async move {
            greeted(&mut stream).await;
            let _ = greeting.send(()).await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            let _ = closed.send(()).await;
        }
    })
    .await;
    let server = peer.server();
    let task =
        tokio::spawn(
            async move { probe(&server, RayPort::Gcs, &Credentials::default(), BOUND).await },
        );
    began.recv().await.unwrap();
    task.abort();
    let seen = tokio::time::timeout(BOUND / 2, heard.recv()).await;
    assert_eq!(seen, Ok(Some(())));
}
