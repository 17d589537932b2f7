//! Looks at a cluster that we are connected to, over a connection that is kept between them.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic::Status;

use super::channel::{Line, SMALL};
use super::credentials::Credentials;
use super::trace::{Ask, Trace};
use super::{RayPort, gcs, open, ray_client, settle};
use crate::address::HostPort;
use crate::error::ConnectError;

/// What a look saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The GCS of this cluster, where it tells its id.
    Cluster(Option<String>),
    /// Our session behind the Ray Client port, and its GCS answers.
    Session,
    /// Our session, but its GCS does not answer.
    NoGcs,
    /// A Ray Client server that does not know our session.
    NoSession,
}

/// Makes the token and certificates anew for each connection: they may have been rotated.
pub type Keys = Box<dyn Fn() -> Credentials + Send + Sync>;

/// One server, the connection to it, and what is asked there.
pub struct KeptChannel {
    server: HostPort,
    shown: String,
    /// Our session; None asks for the GCS itself.
    client_id: Option<String>,
    keys: Keys,
    line: Option<Line>,
}

impl KeptChannel {
    /// Nothing is connected before the first look.
    pub fn new(server: HostPort, client_id: Option<String>, keys: Keys) -> Self {
        let shown = Ask::new(&server, ray_port(client_id.as_deref())).shown;
        Self {
            server,
            shown,
            client_id,
            keys,
            line: None,
        }
    }

    /// The server.
    pub const fn server(&self) -> &HostPort {
        &self.server
    }

    /// The address as messages name it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// One look, bounded by `bound`.
    pub async fn look(&mut self, bound: Duration) -> Result<Seen, ConnectError> {
        let end = Instant::now() + bound;
        // Something between may have closed it for being idle: only a new one tells.
        if let Some(line) = self.line.take()
            && let Ok(Ok(seen)) = timeout(bound / 2, ask(&line, self.client_id.as_deref())).await
        {
            self.line = Some(line);
            return Ok(seen);
        }
        let left = end.saturating_duration_since(Instant::now());
        let ask = Ask::new(&self.server, ray_port(self.client_id.as_deref()));
        let mut trace = Trace::new();
        let outcome = timeout(left, self.first_look(&ask, &mut trace)).await;
        let (line, seen) = settle(outcome, &ask, &mut trace, bound)?;
        self.line = Some(line);
        Ok(seen)
    }

    async fn first_look(
        &self,
        question: &Ask<'_>,
        trace: &mut Trace,
    ) -> Result<(Line, Seen), ConnectError> {
        let credentials = (self.keys)();
        let client_id = self.client_id.as_deref();
        let call = open(question, ray_port(client_id), &credentials, SMALL, trace).await?;
        let answer = call.answer(ask(&call.line, client_id));
        let seen = trace
            .step("grpc", answer, |seen| format!("{seen:?}"))
            .await?;
        Ok((call.line, seen))
    }
}

const fn ray_port(client_id: Option<&str>) -> RayPort {
    match client_id {
        Some(_) => RayPort::Client,
        None => RayPort::Gcs,
    }
}

async fn ask(line: &Line, client_id: Option<&str>) -> Result<Seen, Status> {
    let Some(client_id) = client_id else {
        return gcs::cluster_id(line).await.map(Seen::Cluster);
    };
    if !ray_client::session_alive(line, client_id).await? {
        return Ok(Seen::NoSession);
    }
    Ok(if ray_client::gcs_answers(line, client_id).await {
        Seen::Session
    } else {
        Seen::NoGcs
    })
}
