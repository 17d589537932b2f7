//! From what went wrong on the wire to a cause that people can act on.

use std::error::Error as _;
use std::net::SocketAddr;
use std::time::Duration;

use tonic::{Code, Status};

use super::channel::Line;
use super::credentials::{Credentials, TlsFiles};
use super::sniff::{Ear, Heard};
use super::trace::{Ask, show, show_parts};
use super::{RayPort, gcs, ray_client, tcp, tls};
use crate::address::DEFAULT_CLIENT_PORT;
use crate::error::{ConnectError, Kind};

/// An open connection and what was asked through it.
pub(super) struct Call<'a> {
    pub ask: &'a Ask<'a>,
    pub ray_port: RayPort,
    pub credentials: &'a Credentials,
    pub line: Line,
    pub peer: SocketAddr,
    pub ear: Ear,
}

impl Call<'_> {
    /// The answer to `question`, or the cause of having none.
    pub async fn answer<T>(
        &self,
        question: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, ConnectError> {
        match question.await {
            Ok(answer) => Ok(answer),
            // Boxed: rare, and larger than the question.
            Err(status) => Err(Box::pin(self.explain(status)).await),
        }
    }

    /// The cause behind a failed call. May ask the server one more question.
    async fn explain(&self, status: Status) -> ConnectError {
        // tonic's own failures carry a source; what a server said does not.
        if status.source().is_some() {
            return hung_up(
                self.ask,
                self.credentials,
                self.peer,
                &self.ear,
                status.code(),
            )
            .await;
        }
        // So is a reply without a gRPC status; tonic only says so in words.
        if status.message().contains("grpc-status") {
            return self.web_server(&status);
        }
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => self.credentials.refused(self.ask),
            Code::Unimplemented => self.wrong_port().await,
            Code::Internal | Code::OutOfRange | Code::DataLoss => self.nonsense(&status),
            _ => self.not_ready(&status),
        }
    }

    /// The server does not know our method. Which port is it then?
    async fn wrong_port(&self) -> ConnectError {
        let host = &self.ask.server.host;
        let here = show(self.ask.server);
        let client = format!("ray://{}", show_parts(host, DEFAULT_CLIENT_PORT));
        let gcs = show_parts(host, 6379);
        match self.ray_port {
            RayPort::Client if knows(&gcs::check_alive(&self.line).await) => self.ask.error(
                Kind::WrongPort,
                &format!("{here} is the GCS port; Ray Client is usually {client}"),
                format!("use {client} for Ray Client, or {here} (no ray://) for a native driver"),
            ),
            RayPort::Gcs if knows(&ray_client::ping(&self.line).await) => self.ask.error(
                Kind::WrongPort,
                "this is the Ray Client port, not the GCS",
                format!("use ray://{here}, or the GCS port, usually {gcs}, for a native driver"),
            ),
            _ => self.ask.error(
                Kind::WrongPort,
                "a gRPC server, but neither the GCS nor Ray Client; Ray opens several such ports",
                format!("use {client} for Ray Client, or {gcs} for a native driver"),
            ),
        }
    }

    fn web_server(&self, status: &Status) -> ConnectError {
        match status.code() {
            Code::Unavailable => self.ask.error(
                Kind::NotReady,
                "a proxy answered that the server behind it is not there",
                "check the Ray head behind the ingress or proxy",
            ),
            _ => web(self.ask, &self.credentials.scrub(status.message())),
        }
    }

    fn nonsense(&self, status: &Status) -> ConnectError {
        let said = self.credentials.scrub(status.message());
        self.ask.error(
            Kind::NotRay,
            &format!("a gRPC server whose answer is not Ray's ({said})"),
            NOT_RAY_HINT,
        )
    }

    fn not_ready(&self, status: &Status) -> ConnectError {
        let said = self.credentials.scrub(status.message());
        let kind = match status.code() {
            Code::DeadlineExceeded => Kind::Timeout,
            _ => Kind::NotReady,
        };
        self.ask.error(
            kind,
            &format!("Ray answered {:?} in the phase grpc: {said}", status.code()),
            "the head is starting, or has lost its GCS: wait, and look at its logs \
             (gcs_server.out, ray_client_server.err) if it stays so",
        )
    }
}

/// The connection broke before an answer came. What the server said until then tells why.
pub(super) async fn hung_up(
    ask: &Ask<'_>,
    credentials: &Credentials,
    peer: SocketAddr,
    ear: &Ear,
    code: Code,
) -> ConnectError {
    if let Some(error) = ear.tls_error() {
        return tls::describe(ask, &error, credentials.tls.as_ref());
    }
    match ear.heard() {
        // Over TLS this is what came out of it, without it what came over the wire.
        Heard::Tls => server_speaks_tls(ask),
        Heard::Http1(line) => web(ask, &line),
        Heard::Http2 if code == Code::Internal => ask.error(
            Kind::NotRay,
            "the server broke the HTTP/2 protocol",
            NOT_RAY_HINT,
        ),
        Heard::Http2 => ask.error(
            Kind::NotReady,
            "the server hung up before it answered",
            "it may be starting or stopping: wait, and look at the head's logs if it stays so",
        ),
        Heard::Other(text) => stranger(ask, &credentials.scrub(&text)),
        Heard::Nothing => match &credentials.tls {
            Some(files) => closed_after_tls(ask, files),
            None => nothing_heard(ask, peer).await,
        },
    }
}

/// Not a word in plain text: a TLS port of Ray's closes silently, and the answer of a web server that
/// hangs up on our greeting can be lost to the TCP reset that follows it.
async fn nothing_heard(ask: &Ask<'_>, peer: SocketAddr) -> ConnectError {
    if tls::answers(peer).await {
        return server_speaks_tls(ask);
    }
    match tls::reply_to(peer, b"GET / HTTP/1.0\r\n\r\n").await {
        Heard::Http1(line) => web(ask, &line),
        _ => closed(ask),
    }
}

const NOT_RAY_HINT: &str = "check host and port: Ray Client is usually ray://host:10001, the GCS \
     host:6379";

/// A method that the server has, whatever it thinks of us.
fn knows<T>(answer: &Result<T, Status>) -> bool {
    match answer {
        Ok(_) => true,
        Err(status) => {
            status.source().is_none()
                && matches!(
                    status.code(),
                    Code::Unauthenticated | Code::PermissionDenied | Code::Unavailable
                )
        }
    }
}

/// The overall bound struck while `phase` was under way.
pub(super) fn timed_out(
    ask: &Ask<'_>,
    phase: &'static str,
    ear: &Ear,
    bound: Duration,
) -> ConnectError {
    let (cause, hint) = match phase {
        "tcp" => return tcp::silent(ask, bound),
        "dns" => (
            "the name was not resolved",
            "the DNS server is slow or away: check /etc/resolv.conf, or use the IP address",
        ),
        "tls" => (
            "accepts connections, but did not finish the TLS handshake",
            "the server hangs, or is none of Ray's: check the port and the head's logs",
        ),
        "cluster" => (
            "the GCS is alive, but did not tell about its cluster",
            "its storage may hang (Redis, if the head is fault tolerant): look at gcs_server.out",
        ),
        _ => match ear.heard() {
            Heard::Nothing => (
                "accepts connections, but says nothing",
                "the server hangs, or is none of Ray's: check the port and the head's logs",
            ),
            Heard::Http2 => (
                "speaks HTTP/2, but did not answer the call",
                "the head is overloaded or hangs: look at its load and logs, or raise \
                 SEEDCORE_RAY_PROBE_TIMEOUT_S",
            ),
            _ => (
                "began to speak, but not gRPC",
                "check the port: Ray Client is usually ray://host:10001, the GCS host:6379",
            ),
        },
    };
    ask.error(
        Kind::Timeout,
        &format!("{cause} within {bound:?} (phase {phase})"),
        hint,
    )
}

fn server_speaks_tls(ask: &Ask<'_>) -> ConnectError {
    ask.error(
        Kind::Tls,
        "the server speaks TLS and we do not, because RAY_USE_TLS is not set",
        "set RAY_USE_TLS=1 with RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY and RAY_TLS_CA_CERT of \
         this cluster",
    )
}

pub(super) fn web(ask: &Ask<'_>, said: &str) -> ConnectError {
    ask.error(
        Kind::NotRay,
        &format!("a web server answers here, not Ray ({said})"),
        "the dashboard (8265) and Serve (8000) are web servers; Ray Client is usually \
         ray://host:10001, the GCS host:6379",
    )
}

pub(super) fn stranger(ask: &Ask<'_>, said: &str) -> ConnectError {
    ask.error(
        Kind::NotRay,
        &format!("something answers here, but not Ray; it said {said}"),
        NOT_RAY_HINT,
    )
}

/// Proxies and port-forwards accept first and look for their backend later, so time may cure it.
pub(super) fn closed(ask: &Ask<'_>) -> ConnectError {
    ask.error(
        Kind::NotReady,
        "the connection was accepted and closed without a word",
        "typical of a proxy or port-forward whose Ray is not up: check the head behind it; else \
         check the port",
    )
}

/// Ray's own servers refuse a client certificate this way: after the handshake, which TLS 1.3
/// ends before they have looked at it, and without an alert.
fn closed_after_tls(ask: &Ask<'_>, files: &TlsFiles) -> ConnectError {
    let ours = files.cert.as_deref();
    let ours = ours.map_or_else(String::new, |path| format!(" ({})", path.display()));
    ask.error(
        Kind::Tls,
        &format!(
            "the server hung up right after the TLS handshake, so it refuses our client \
             certificate{ours}"
        ),
        "set RAY_TLS_SERVER_CERT to a certificate that is signed by the cluster's CA and has not \
         expired; if it is, look at the head's logs",
    )
}
