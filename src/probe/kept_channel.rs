//! Health checks of a connected cluster, over a channel that is kept open between them.

use std::fmt;
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic::Status;

use super::channel::{Channel, SMALL};
use super::credentials::Credentials;
use super::gcs_line::GcsLine;
use super::open::open;
use super::ray_client::{Doubts, Session};
use super::report::RayPort;
use super::server::Server;
use super::trace::Trace;
use super::{gcs, ray_client};
use crate::address::HostPort;
use crate::error::ConnectError;

/// How long a call may go unanswered before it is given up for one on a newer connection. A reply that
/// comes sooner counts, however late it is; a connection whose packets were lost may never bring one.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The reply to one health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The GCS answers, with the id of its cluster in hex if it reports one.
    Cluster(Option<String>),
    /// The Ray Client server knows our session, and its GCS answers.
    Session,
    /// The Ray Client server knows our session, but its GCS does not answer.
    NoGcs {
        /// The port of the GCS, where it can be reached from here, refuses connections.
        refuses: bool,
    },
    /// The Ray Client server does not know our session.
    NoSession,
    /// The Ray Client port answers, but the server process behind our session has ended.
    NoServer,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cluster(Some(id)) => return write!(f, "the GCS of cluster {id} answers"),
            Self::Cluster(None) => "the GCS answers",
            Self::Session => "session known, the GCS behind it answers",
            Self::NoGcs { .. } => "session known, the GCS behind it does not answer",
            Self::NoSession => "session not known",
            Self::NoServer => "the server process of the session has ended",
        })
    }
}

/// Reads the token and TLS files again for each new connection: they may have been rotated.
pub type Keys = Box<dyn Fn() -> Credentials + Send + Sync>;

/// What is asked for.
#[derive(Clone)]
enum Asked {
    Gcs,
    Session { client_id: Arc<str>, doubts: Doubts },
}

/// A call, until its reply was looked at.
struct Question {
    channel: Channel,
    since: Instant,
    call: Pin<Box<dyn Future<Output = Result<Reply, Status>> + Send>>,
    reply: Option<Result<Reply, Status>>,
}

impl Question {
    fn new(channel: Channel, asked: Asked) -> Self {
        Self {
            call: Box::pin(ask(channel.clone(), asked)),
            channel,
            since: Instant::now(),
            reply: None,
        }
    }

    /// Waits for the reply. May be cancelled and called again.
    async fn reply(&mut self) -> Result<Reply, Status> {
        let reply = match self.reply.take() {
            Some(reply) => reply,
            None => self.call.as_mut().await,
        };
        self.reply.insert(reply).clone()
    }
}

/// The connection of a kept channel.
enum Line {
    Closed,
    /// Between two checks.
    Idle(Channel),
    /// A check ended before its call was answered.
    Asked(Question),
}

impl Line {
    /// Waits for the reply to the call that was made. `None` when there is none, or it failed: the
    /// line is closed then.
    async fn reply(&mut self) -> Option<Reply> {
        let Self::Asked(question) = self else {
            return None;
        };
        let reply = question.reply().await;
        let channel = question.channel.clone();
        *self = reply.as_ref().map_or(Self::Closed, |_| Self::Idle(channel));
        reply.ok()
    }
}

/// A channel to one server that stays open between health checks.
///
/// A check that gets no reply in time leaves its call pending. The next check takes a late reply, and
/// [`KeptChannel::news`] tells when it has come.
pub struct KeptChannel {
    server: Server,
    client_id: Option<Arc<str>>,
    keys: Keys,
    line: Line,
    /// For a session only: natively the line leads to the GCS itself.
    gcs: GcsLine,
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
            client_id: client_id.map(Arc::from),
            keys,
            line: Line::Closed,
            gcs: GcsLine::default(),
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

    /// Completes when a check is worthwhile before the next one is due: the connection was closed, or
    /// a late reply has come. Never while there is no connection.
    pub async fn news(&mut self) {
        let news = async {
            match &mut self.line {
                Line::Closed => future::pending().await,
                Line::Idle(channel) => channel.closed().await,
                Line::Asked(question) => drop(question.reply().await),
            }
        };
        tokio::select! {
            () = news => {}
            () = self.gcs.closed() => {}
        }
    }

    /// Makes one health check within `bound`. With `server_is_suspect`, there is reason to believe that
    /// the server process of the session has ended.
    ///
    /// # Errors
    /// The cause, when a new connection gets no answer either.
    pub async fn look(
        &mut self,
        bound: Duration,
        server_is_suspect: bool,
    ) -> Result<Reply, ConnectError> {
        let credentials = (self.keys)();
        let asked = match &self.client_id {
            None => Asked::Gcs,
            Some(client_id) => Asked::Session {
                client_id: Arc::clone(client_id),
                doubts: Doubts {
                    gcs_refuses: self.gcs.refuses(&credentials).await,
                    server_is_suspect,
                },
            },
        };
        let reply = self.ask(asked, &credentials, bound).await?;
        if reply == Reply::Session
            && !self.gcs.was_sought
            && let (Line::Idle(channel), Some(client_id)) = (&self.line, &self.client_id)
        {
            let (channel, client_id) = (channel.clone(), Arc::clone(client_id));
            let gcs = ray_client::gcs_address(&channel, &client_id).await;
            self.gcs = GcsLine::open(&self.server.address, gcs, &credentials).await;
        }
        Ok(reply)
    }

    async fn ask(
        &mut self,
        asked: Asked,
        credentials: &Credentials,
        bound: Duration,
    ) -> Result<Reply, ConnectError> {
        // A proxy may have closed the idle connection, so a failure needs a new one as proof.
        if let Line::Idle(channel) = &self.line {
            self.line = Line::Asked(Question::new(channel.clone(), asked.clone()));
            if let Ok(Some(reply)) = timeout(bound / 2, self.line.reply()).await {
                return Ok(reply);
            }
        }
        let mut trace = Trace::new(&self.server, bound);
        let (question, result) = tokio::select! {
            biased;
            Some(reply) = self.line.reply() => return Ok(reply),
            anew = ask_anew(credentials, asked, &mut trace) => anew,
        };
        match (question, &mut self.line) {
            (Some(question), _) if result.is_ok() => self.line = Line::Idle(question.channel),
            (_, Line::Asked(older)) if older.since.elapsed() < PATIENCE => {}
            (question, line) => *line = question.map_or(Line::Closed, Line::Asked),
        }
        result
    }
}

/// Makes the call on a new connection. Returns it as well, unless it has failed.
async fn ask_anew<'a>(
    credentials: &'a Credentials,
    asked: Asked,
    trace: &mut Trace<'a>,
) -> (Option<Question>, Result<Reply, ConnectError>) {
    let call = match open(credentials, SMALL, trace).await {
        Ok(call) => call,
        Err(cause) => return (None, Err(cause)),
    };
    let mut question = Question::new(call.channel.clone(), asked);
    let answer = call.answer(question.reply());
    let result = trace.step("grpc", answer, Reply::to_string).await;
    let has_failed = matches!(question.reply, Some(Err(_)));
    ((!has_failed).then_some(question), result)
}

async fn ask(channel: Channel, asked: Asked) -> Result<Reply, Status> {
    let Asked::Session { client_id, doubts } = asked else {
        return gcs::cluster_id(&channel).await.map(Reply::Cluster);
    };
    let refuses = doubts.gcs_refuses;
    Ok(
        match ray_client::session(&channel, &client_id, doubts).await? {
            Session::Known { gcs_answers: true } => Reply::Session,
            Session::Known { gcs_answers: false } => Reply::NoGcs { refuses },
            Session::Unknown => Reply::NoSession,
            Session::ServerEnded => Reply::NoServer,
        },
    )
}
