//! Questions to the GCS of a native connection, from any number of threads, over one kept channel.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};
use tonic::Status;

use super::channel::{Channel, LARGE};
use super::gcs::{self, Table};
use super::kept_channel::Keys;
use super::open::open;
use super::report::RayPort;
use super::server::Server;
use super::trace::Trace;
use crate::address::HostPort;
use crate::error::{ConnectError, Kind};

/// For how long a failure to open a channel answers the next callers as well: many threads that
/// wait for a GCS must not dial it more often than one would.
const FAILURE_STANDS: Duration = Duration::from_millis(100);

/// Encoded rows of a table.
pub type Rows = Vec<Vec<u8>>;

/// What the GCS is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether it answers. The answer has no rows.
    Alive,
    /// The rows of a table.
    Rows(Table),
}

/// A channel to the GCS of one cluster, shared by all callers and opened at the first question.
pub struct SharedChannel {
    server: Server,
    /// Hex id of the cluster, where it is known.
    cluster_id: Option<String>,
    keys: Keys,
    kept: Mutex<Option<Arc<Channel>>>,
    /// Held while a channel is opened; the last failure to do so.
    opening: AsyncMutex<Option<(Instant, ConnectError)>>,
}

impl SharedChannel {
    /// Asks the GCS at `server`. Another cluster than `cluster_id` there is as good as no answer.
    pub fn new(server: HostPort, cluster_id: Option<String>, keys: Keys) -> Self {
        Self {
            server: Server::new(server, RayPort::Gcs),
            cluster_id,
            keys,
            kept: Mutex::default(),
            opening: AsyncMutex::default(),
        }
    }

    /// The answer. The kept channel and, if it gives none, a new one each have `bound` for it.
    ///
    /// # Errors
    /// The cause, when the new channel gives no answer either.
    pub async fn ask(&self, question: Question, bound: Duration) -> Result<Rows, ConnectError> {
        let kept = self.kept().clone();
        if let Some(channel) = kept.filter(|channel| !channel.is_closed()) {
            if let Ok(Ok(rows)) = timeout(bound, ask(&channel, question)).await {
                return Ok(rows);
            }
            self.kept().take_if(|now| Arc::ptr_eq(now, &channel));
        }
        let opened = timeout(bound, self.opened(bound)).await;
        let channel = opened.unwrap_or_else(|_| Err(self.silent(bound)))?;
        match timeout(bound, ask(&channel, question)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(status)) => Err(self.server.error(Kind::NotReady, status.message(), HINT)),
            Err(_) => Err(self.silent(bound)),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Arc<Channel>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel on which the GCS has answered. One caller opens it, the others wait for that.
    async fn opened(&self, bound: Duration) -> Result<Arc<Channel>, ConnectError> {
        let mut failure = self.opening.lock().await;
        if let Some(channel) = self.kept().clone() {
            return Ok(channel);
        }
        if let Some((at, cause)) = &*failure
            && at.elapsed() < FAILURE_STANDS
        {
            return Err(cause.clone());
        }
        match self.open(bound).await {
            Ok(channel) => {
                *failure = None;
                self.kept().replace(Arc::clone(&channel));
                Ok(channel)
            }
            Err(cause) => {
                *failure = Some((Instant::now(), cause.clone()));
                Err(cause)
            }
        }
    }

    async fn open(&self, bound: Duration) -> Result<Arc<Channel>, ConnectError> {
        let credentials = (self.keys)();
        let mut trace = Trace::new(&self.server, bound);
        let call = open(&credentials, LARGE, &mut trace).await?;
        let answer = call.answer(gcs::cluster_id(&call.channel));
        let shown = |id: &Option<String>| format!("cluster {}", id.as_deref().unwrap_or("unknown"));
        let cluster_id = trace.step("cluster", answer, shown).await?;
        match (&self.cluster_id, cluster_id) {
            (Some(ours), Some(theirs)) if *ours != theirs => {
                let cause = format!("another cluster answers there now ({theirs})");
                Err(self.server.error(Kind::Lost, cause, HINT))
            }
            _ => Ok(Arc::new(call.channel)),
        }
    }

    fn silent(&self, bound: Duration) -> ConnectError {
        let cause = format!("the GCS did not answer within {:.1} s", bound.as_secs_f64());
        self.server.error(Kind::Timeout, cause, HINT)
    }
}

const HINT: &str = "Look at the head: its GCS (gcs_server) has stopped, hangs, or was replaced.";

async fn ask(channel: &Channel, question: Question) -> Result<Rows, Status> {
    match question {
        Question::Alive => gcs::cluster_id(channel).await.map(|_| Rows::new()),
        Question::Rows(table) => gcs::rows(channel, table).await,
    }
}
