//! Unary gRPC over a stream that we connected ourselves.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::uri::{PathAndQuery, Scheme, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::trace::show;
use crate::address::HostPort;

/// No honest answer to a probe comes near it.
pub(super) const SMALL: usize = 256 * 1024;
/// Thousands of nodes; still bounded.
pub(super) const LARGE: usize = 32 * 1024 * 1024;

/// A byte stream to a server: TCP or TLS over TCP.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One HTTP/2 connection. Dropping it ends the tasks behind it.
pub(super) struct Line {
    grpc: Grpc<Channel>,
    token: Option<MetadataValue<Ascii>>,
    _tasks: Tasks,
}

impl Line {
    /// Speaks HTTP/2 on `stream`. Nothing is heard yet: a wrong server shows at the first call.
    pub async fn open(
        stream: Box<dyn Stream>,
        server: &HostPort,
        scheme: Scheme,
        token: Option<MetadataValue<Ascii>>,
        max_message: usize,
    ) -> Result<Self, tonic::transport::Error> {
        let tasks = Tasks::default();
        // One stream, used once: a lost connection is an answer, not a reason to reconnect.
        let mut once = Some(stream);
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
        let grpc = Grpc::new(channel).max_decoding_message_size(max_message);
        Ok(Self {
            grpc,
            token,
            _tasks: tasks,
        })
    }

    /// One unary call.
    pub async fn call<Q, A>(&self, path: &'static str, message: Q) -> Result<A, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        self.send(path, Request::new(message)).await
    }

    /// One unary call with its own metadata; the token is added here and nowhere else.
    pub async fn send<Q, A>(&self, path: &'static str, mut request: Request<Q>) -> Result<A, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        if let Some(token) = &self.token {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        let mut grpc = self.grpc.clone();
        grpc.ready().await.map_err(transport_failure)?;
        let codec = ProstCodec::<Q, A>::default();
        let path = PathAndQuery::from_static(path);
        // Boxed: tonic's future has kilobytes, and several calls run at once.
        let reply = Box::pin(grpc.unary(request, path, codec)).await?;
        Ok(reply.into_inner())
    }
}

/// The status of a call that never left: it carries its source, as tonic's own do.
fn transport_failure(error: tonic::transport::Error) -> Status {
    Status::from_error(Box::new(error))
}

/// `:scheme` and `:authority` of the calls. A host that no URI can hold still gets a probe.
fn origin(server: &HostPort, scheme: Scheme) -> Uri {
    Uri::builder()
        .scheme(scheme)
        .authority(show(server))
        .path_and_query("/")
        .build()
        .unwrap_or_else(|_| Uri::from_static("http://ray"))
}

/// Owns the tasks that the HTTP/2 client spawns, so that they end with the probe.
#[derive(Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

/// Weak, because the tasks themselves hold it: an owner in there would keep itself alive.
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
            // A set keeps what has ended until it is asked, and a warm line has a task for each call.
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }
}
