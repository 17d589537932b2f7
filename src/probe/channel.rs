//! Unary gRPC over a stream that we connected ourselves.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use http::uri::{PathAndQuery, Scheme, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::transport::{self, Endpoint};
use tonic::{IntoRequest, Status};
use tonic_prost::ProstCodec;
use tower::util::MapResult;

use super::http_answer::{NoGrpc, only_grpc};
use crate::address::HostPort;

/// Maximum decoded size of a reply to a probe, in bytes. Real replies are far smaller.
pub(super) const SMALL: usize = 256 * 1024;
/// Maximum decoded size of a list of nodes, in bytes: enough for thousands.
pub(super) const LARGE: usize = 32 * 1024 * 1024;

/// A byte stream to a server: TCP or TLS over TCP.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Response = http::Response<tonic::body::Body>;

/// Fails where the server speaks no gRPC.
type GrpcOnly = MapResult<
    transport::Channel,
    fn(Result<Response, transport::Error>) -> Result<Response, NoGrpc>,
>;

/// One HTTP/2 connection for unary gRPC calls. Dropping its last clone ends the tasks behind it.
#[derive(Clone)]
pub(super) struct Channel {
    grpc: Grpc<GrpcOnly>,
    headers: MetadataMap,
    open: watch::Receiver<()>,
    _tasks: Tasks,
}

impl Channel {
    /// Starts HTTP/2 on `stream`. Nothing is received yet: a wrong server shows at the first call.
    ///
    /// # Errors
    /// Fails when the HTTP/2 preface cannot be sent.
    pub async fn open(
        stream: Box<dyn Stream>,
        server: &HostPort,
        scheme: Scheme,
        headers: MetadataMap,
        max_message: usize,
    ) -> Result<Self, transport::Error> {
        let (read, write) = tokio::io::split(stream);
        let tasks = Tasks::default();
        let (alive, open) = watch::channel(());
        // One stream, used once: a lost connection is an answer, not a reason to reconnect.
        let mut once = Some(tokio::io::join(Alive(read, alive), write));
        let connector = tower::service_fn(move |_: Uri| {
            let stream = once.take().ok_or(io::ErrorKind::NotConnected);
            async move { stream.map(TokioIo::new).map_err(io::Error::from) }
        });
        let channel = Endpoint::from_static("http://ray")
            .origin(origin(server, scheme))
            .http2_max_header_list_size(16 * 1024)
            .executor(tasks.spawner())
            .connect_with_connector(connector)
            .await?;
        let channel = GrpcOnly::new(channel, only_grpc);
        let grpc = Grpc::new(channel).max_decoding_message_size(max_message);
        Ok(Self {
            grpc,
            headers,
            open,
            _tasks: tasks,
        })
    }

    /// Completes when the connection has ended: the server or the kernel has closed it.
    pub async fn closed(&self) {
        // An error: the sender went with the stream. Nothing is ever sent.
        let _ = self.open.clone().changed().await;
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.open.has_changed().is_err()
    }

    /// Makes one unary call. The token and the caller's headers are added here and nowhere else.
    ///
    /// # Errors
    /// The status that the server sent, or one with a source when the connection failed.
    pub async fn call<Q, A>(
        &self,
        path: &'static str,
        message: impl IntoRequest<Q>,
    ) -> Result<A, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let mut request = message.into_request();
        add(&self.headers, request.metadata_mut());
        let mut grpc = self.grpc.clone();
        let never_sent = |error: NoGrpc| Status::from_error(Box::new(error));
        grpc.ready().await.map_err(never_sent)?;
        let codec = ProstCodec::<Q, A>::default();
        let path = PathAndQuery::from_static(path);
        // Boxed: tonic's future takes kilobytes, and several calls run at once.
        let reply = Box::pin(grpc.unary(request, path, codec)).await?;
        Ok(reply.into_inner())
    }
}

/// Adds `headers` to those that are there already, as Ray does with several of one name.
fn add(headers: &MetadataMap, to: &mut MetadataMap) {
    for header in headers.iter() {
        match header {
            KeyAndValueRef::Ascii(name, value) => drop(to.append(name, value.clone())),
            KeyAndValueRef::Binary(name, value) => drop(to.append_bin(name, value.clone())),
        }
    }
}

/// `:scheme` and `:authority` of the calls. A host that does not fit into a URI is probed all the
/// same.
fn origin(server: &HostPort, scheme: Scheme) -> Uri {
    Uri::builder()
        .scheme(scheme)
        .authority(server.to_string())
        .path_and_query("/")
        .build()
        .unwrap_or_else(|_| Uri::from_static("http://ray"))
}

/// The reading half of a stream. The HTTP/2 client reads all the time, and drops the stream when the
/// connection has ended; that closes the channel of the sender.
struct Alive<R>(
    R,
    #[expect(dead_code, reason = "held for its drop")] watch::Sender<()>,
);

impl<R: AsyncRead + Unpin> AsyncRead for Alive<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

/// Owns the tasks that the HTTP/2 client spawns, so that they end with the channel.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

/// Weak, because the tasks themselves hold it: a strong reference would keep them alive forever.
struct Spawner(Weak<Mutex<JoinSet<()>>>);

impl Tasks {
    fn spawner(&self) -> Spawner {
        Spawner(Arc::downgrade(&self.0))
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl hyper::rt::Executor<Task> for Spawner {
    fn execute(&self, task: Task) {
        if let Some(tasks) = self.0.upgrade() {
            let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            // A set keeps finished tasks until they are joined, and each call spawns one.
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }
}
