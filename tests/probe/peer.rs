//! Scripted peers, each of which ends when its value is dropped.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Response};
use seedcore_ray::address::HostPort;
use seedcore_ray::error::{ConnectError, Kind};
use seedcore_ray::probe::{Credentials, Facts, RayPort, Report, probe};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A generous timeout, for tests in which the peer answers.
pub const BOUND: Duration = Duration::from_secs(10);
/// For tests in which nothing answers.
pub const SHORT: Duration = Duration::from_millis(200);

pub struct Peer {
    pub address: SocketAddr,
    _task: JoinSet<()>,
}

impl Peer {
    pub fn server(&self) -> HostPort {
        at(self.address)
    }

    pub async fn probe(&self, ray_port: RayPort) -> Result<Facts, ConnectError> {
        self.probe_with(ray_port, &Credentials::default())
            .await
            .result
    }

    pub async fn probe_with(&self, ray_port: RayPort, credentials: &Credentials) -> Report {
        probe(&self.server(), ray_port, credentials, BOUND).await
    }

    /// The error of a probe that must fail, checked by [`check`].
    pub async fn failure(&self, ray_port: RayPort, credentials: &Credentials) -> ConnectError {
        let report = self.probe_with(ray_port, credentials).await;
        assert!(!report.steps.last().unwrap().ok);
        check(report.result.unwrap_err())
    }
}

pub fn at(address: SocketAddr) -> HostPort {
    HostPort {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

/// Every error begins with the address, has a hint, and fits on a line.
pub fn check(error: ConnectError) -> ConnectError {
    assert!(error.message.starts_with(&error.address), "{error:?}");
    assert!(!error.hint.is_empty(), "{error:?}");
    assert!(!error.message.contains('\n'), "{error:?}");
    error
}

#[track_caller]
pub fn assert_failure(error: &ConnectError, kind: Kind, words: &str) {
    assert_eq!(error.kind, kind, "{error:?}");
    assert!(error.message.contains(words), "{error:?}");
}

/// A peer that runs `serve` for every connection.
pub async fn raw<F, W>(serve: F) -> Peer
where
    F: Fn(TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream));
        }
    });
    Peer {
        address,
        _task: task,
    }
}

/// A peer that accepts and never sends anything.
pub async fn silent() -> Peer {
    raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await
}

/// What a scripted gRPC server does with one call.
pub enum Answer {
    /// A message and status 0.
    Message(Vec<u8>),
    /// No message, this status.
    Status(u32, &'static str),
    /// No message, this status, from a gateway that names itself.
    Gateway(&'static str, u32, &'static str),
    /// An HTTP response that is not gRPC, with a page, as nginx sends it.
    Http(u16),
    /// A frame that declares this many bytes and holds none.
    Declares(u32),
    /// Nothing, ever.
    Silence,
}

pub type Script = Arc<dyn Fn(&str, &HeaderMap) -> Answer + Send + Sync>;

pub fn script(answer: impl Fn(&str, &HeaderMap) -> Answer + Send + Sync + 'static) -> Script {
    Arc::new(answer)
}

pub async fn grpc(script: Script) -> Peer {
    raw(move |stream| serve_grpc(stream, script.clone())).await
}

pub async fn grpc_over_tls(acceptor: TlsAcceptor, script: Script) -> Peer {
    raw(move |stream| {
        let (acceptor, script) = (acceptor.clone(), script.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve_grpc(stream, script).await;
            }
        }
    })
    .await
}

async fn serve_grpc<S: AsyncRead + AsyncWrite + Unpin>(stream: S, script: Script) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut silent = Vec::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let answer = script(request.uri().path(), request.headers());
        silent.extend(reply(respond, answer));
    }
}

/// Returns what must stay open for a silent answer.
fn reply(
    mut respond: h2::server::SendResponse<Bytes>,
    answer: Answer,
) -> Option<h2::server::SendResponse<Bytes>> {
    let grpc = || Response::builder().header("content-type", "application/grpc");
    let (head, frame) = match answer {
        Answer::Silence => return Some(respond),
        Answer::Http(code) => {
            let head = Response::builder()
                .status(code)
                .header("server", "nginx/1.22.1")
                .header("content-type", "text/html");
            let mut body = respond
                .send_response(head.body(()).unwrap(), false)
                .unwrap();
            let _ = body.send_data(Bytes::from_static(b"<html>"), true);
            return None;
        }
        Answer::Status(code, message) => {
            send_status(&mut respond, grpc(), code, message);
            return None;
        }
        Answer::Gateway(name, code, message) => {
            send_status(&mut respond, grpc().header("server", name), code, message);
            return None;
        }
        Answer::Message(message) => {
            let length = u32::try_from(message.len()).unwrap();
            (grpc().body(()).unwrap(), frame(length, &message))
        }
        Answer::Declares(length) => (grpc().body(()).unwrap(), frame(length, &[])),
    };
    let mut body = respond.send_response(head, false).unwrap();
    let _ = body.send_data(frame, false);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let _ = body.send_trailers(trailers);
    None
}

fn send_status(
    respond: &mut h2::server::SendResponse<Bytes>,
    head: http::response::Builder,
    code: u32,
    message: &str,
) {
    let head = head
        .header("grpc-status", code)
        .header("grpc-message", message);
    respond.send_response(head.body(()).unwrap(), true).unwrap();
}

fn frame(length: u32, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(message);
    frame.freeze()
}

/// A length-delimited protobuf field.
pub fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 128 && tag < 16);
    [&[tag << 3 | 2, length], content].concat()
}

pub const UNIMPLEMENTED: u32 = 12;
pub const UNAUTHENTICATED: u32 = 16;
pub const UNAVAILABLE: u32 = 14;

/// Answers as the Ray Client port does.
pub fn ray_client() -> Script {
    script(|path, headers| match path {
        "/ray.rpc.RayletDriver/ClusterInfo" => match headers.get("client_id") {
            None => Answer::Message(field(2, b"{}")),
            Some(id) if id == "ours" => Answer::Message(field(2, b"true")),
            Some(_) => Answer::Status(5, "Session not found"),
        },
        _ => Answer::Status(UNIMPLEMENTED, "Method not found!"),
    })
}

/// Answers as the GCS does.
pub fn gcs() -> Script {
    script(|path, _| match path {
        "/ray.rpc.NodeInfoGcsService/CheckAlive" => Answer::Message(field(2, b"2.60.0")),
        "/ray.rpc.InternalKVGcsService/InternalKVGet" => Answer::Message(field(
            2,
            br#"{"ray_version": "2.60.0", "python_version": "3.11.9"}"#,
        )),
        "/ray.rpc.NodeInfoGcsService/GetClusterId" => Answer::Message(field(2, &[0xab; 28])),
        "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo" => {
            Answer::Message([field(2, &[]), field(2, &[0x38, 1])].concat())
        }
        "/ray.rpc.NodeResourceInfoGcsService/GetAllTotalResources" => {
            let node = field(2, &field(2, &cpu(4.0)));
            Answer::Message([node.clone(), node].concat())
        }
        "/ray.rpc.NodeResourceInfoGcsService/GetAllAvailableResources" => {
            Answer::Message(field(2, &field(2, &cpu(0.5))))
        }
        _ => Answer::Status(UNIMPLEMENTED, ""),
    })
}

/// A map entry `"CPU": amount`.
fn cpu(amount: f64) -> Vec<u8> {
    [&field(1, b"CPU"), &[0x11][..], &amount.to_le_bytes()].concat()
}
