//! Health checks of a connected cluster, over a channel that is kept open between them.

use std::fmt;
use std::time::Duration;

use tokio::time::timeout;
use tonic::Status;

use super::channel::{Channel, SMALL};
use super::credentials::Credentials;
use super::open::open;
use super::report::RayPort;
use super::server::Server;
use super::trace::Trace;
use super::{gcs, ray_client};
use crate::address::HostPort;
use crate::error::ConnectError;

/// The reply to one health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The GCS answers, with the id of its cluster in hex if it reports one.
    Cluster(Option<String>),
    /// The Ray Client server knows our session, and its GCS answers.
    Session,
    /// The Ray Client server knows our session, but its GCS does not answer.
    NoGcs,
    /// The Ray Client server does not know our session.
    NoSession,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cluster(Some(id)) => return write!(f, "the GCS of cluster {id} answers"),
            Self::Cluster(None) => "the GCS answers",
            Self::Session => "session known, the GCS behind it answers",
            Self::NoGcs => "session known, the GCS behind it does not answer",
            Self::NoSession => "session not known",
        })
    }
}

/// Reads the token and TLS files again for each new connection: they may have been rotated.
pub type Keys = Box<dyn Fn() -> Credentials + Send + Sync>;

/// A channel to one server that stays open between health checks.
pub struct KeptChannel {
    server: Server,
    client_id: Option<String>,
    keys: Keys,
    channel: Option<Channel>,
}

impl KeptChannel {
    /// Checks the Ray Client session `client_id`, or the GCS itself when that is `None`. Connects
    /// at the first check.
    pub fn new(server: HostPort, client_id: Option<String>, keys: Keys) -> Self {
        let port = match client_id {
            Some(_) => RayPort::Client,
            None => RayPort::Gcs,
        };
        Self {
            server: Server::new(server, port),
            client_id,
            keys,
            channel: None,
        }
    }

    /// Host and port of the server.
    pub const fn server(&self) -> &HostPort {
        &self.server.address
    }

    /// The address as messages name it.
    pub fn shown(&self) -> &str {
        &self.server.shown
    }

    /// Makes one health check within `bound`.
    ///
    /// # Errors
    /// The cause, when a new connection gets no answer either.
    pub async fn look(&mut self, bound: Duration) -> Result<Reply, ConnectError> {
        let mut trace = Trace::new(&self.server, bound);
        let client_id = self.client_id.as_deref();
        // A proxy may have closed the idle connection, so a failure needs a new one as proof.
        if let Some(channel) = self.channel.take()
            && let Ok(Ok(reply)) = timeout(bound / 2, ask(&channel, client_id)).await
        {
            self.channel = Some(channel);
            return Ok(reply);
        }
        let credentials = (self.keys)();
        let call = open(&credentials, SMALL, &mut trace).await?;
        let answer = call.answer(ask(&call.channel, client_id));
        let reply = trace.step("grpc", answer, Reply::to_string).await?;
        self.channel = Some(call.channel);
        Ok(reply)
    }
}

async fn ask(channel: &Channel, client_id: Option<&str>) -> Result<Reply, Status> {
    let Some(client_id) = client_id else {
        return gcs::cluster_id(channel).await.map(Reply::Cluster);
    };
    if !ray_client::session_alive(channel, client_id).await? {
        return Ok(Reply::NoSession);
    }
    Ok(if ray_client::gcs_answers(channel, client_id).await {
        Reply::Session
    } else {
        Reply::NoGcs
    })
}
