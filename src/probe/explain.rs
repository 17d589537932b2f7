//! From a failed call to a cause that people can act on.

use std::error::Error as _;

use tonic::{Code, Status};

use super::causes::{self, NOT_RAY_HINT};
use super::channel::Channel;
use super::credentials::{Credentials, TlsFiles};
use super::http_answer::HttpAnswer;
use super::report::RayPort;
use super::server::Server;
use super::sniff::{FirstBytes, Http1, Protocol};
use super::way::Route;
use super::{gateways, gcs, greet, ray_client, tls};
use crate::address::{DEFAULT_CLIENT_PORT, USUAL_GCS_PORT};
use crate::error::{ConnectError, Kind};

/// The other end of a TCP connection, and what it has sent.
pub(super) struct Peer<'a> {
    pub server: &'a Server,
    pub credentials: &'a Credentials,
    pub route: Route,
    pub received: FirstBytes,
}

/// An open channel to a peer.
pub(super) struct Call<'a> {
    pub peer: Peer<'a>,
    pub channel: Channel,
}

impl Call<'_> {
    /// Awaits the reply to `question`.
    ///
    /// # Errors
    /// The cause of its failure, for which the server may be asked once more.
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

    async fn explain(&self, status: Status) -> ConnectError {
        let peer = &self.peer;
        if let Some(answer) = HttpAnswer::of(&status) {
            return gateways::answered(peer.server, peer.credentials, answer);
        }
        let (code, said) = (status.code(), peer.credentials.scrub(status.message()));
        // tonic's own failures have a source; a status that a server sent has none.
        if status.source().is_some() {
            return peer.hung_up(code).await;
        }
        match code {
            // A reply without a gRPC status is such a failure too; tonic says so only in words.
            _ if said.contains("grpc-status") => causes::web(peer.server, &said),
            Code::Unauthenticated | Code::PermissionDenied => peer.refused(&status, &said),
            Code::Unimplemented => self.wrong_port().await,
            Code::FailedPrecondition if peer.server.ray_port == RayPort::Client => {
                gateways::drops_client_id(peer.server, &status)
            }
            Code::Internal | Code::OutOfRange | Code::DataLoss => peer.server.error(
                Kind::NotRay,
                format!("a gRPC server whose answer is not Ray's ({said})"),
                NOT_RAY_HINT,
            ),
            _ => gateways::not_ready(peer.server, &status, &said),
        }
    }

    /// The server does not know our method: finds out which port it is.
    async fn wrong_port(&self) -> ConnectError {
        let server = self.peer.server;
        let here = &server.address;
        let client = format!("ray://{}", server.at_port(DEFAULT_CLIENT_PORT));
        let gcs = server.at_port(USUAL_GCS_PORT);
        let (cause, hint) = match server.ray_port {
            RayPort::Client if knows(&gcs::check_alive(&self.channel).await) => (
                format!("{here} is the GCS port; Ray Client is usually {client}"),
                format!("use {client} for Ray Client, or {here} (no ray://) for a native driver"),
            ),
            RayPort::Gcs if knows(&ray_client::ping(&self.channel).await) => (
                "this is the Ray Client port, not the GCS".to_owned(),
                format!("use ray://{here}, or the GCS port, usually {gcs}, for a native driver"),
            ),
            _ => (
                "a gRPC server, but neither the GCS nor Ray Client; Ray opens several such ports"
                    .to_owned(),
                format!("use {client} for Ray Client, or {gcs} for a native driver"),
            ),
        };
        server.error(Kind::WrongPort, cause, hint)
    }
}

/// Whether the server has the method that was called, even if it refuses us.
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

impl Peer<'_> {
    /// The call was refused with a status of gRPC's. Ray's own refusal speaks of its token.
    fn refused(&self, status: &Status, said: &str) -> ConnectError {
        match gateways::of(status) {
            Some(gateway) if !said.to_ascii_lowercase().contains("token") => {
                gateways::refused_in_grpc(self.server, &gateway, said)
            }
            _ => self.credentials.refused(self.server),
        }
    }

    /// The connection broke before a reply arrived, and the call ended with `code`.
    pub async fn hung_up(&self, code: Code) -> ConnectError {
        let server = self.server;
        if let Some(error) = self.received.tls_error() {
            return tls::describe(server, &error, self.credentials.tls.as_ref());
        }
        match self.received.protocol() {
            // Over TLS these are decrypted bytes, without it those on the wire.
            Protocol::Tls => causes::server_speaks_tls(server),
            Protocol::Http1(http) => self.http1(&http).await,
            Protocol::Http2 if code == Code::Internal => server.error(
                Kind::NotRay,
                "the server broke the HTTP/2 protocol",
                NOT_RAY_HINT,
            ),
            Protocol::Http2 => server.error(
                Kind::NotReady,
                "the server hung up before it answered",
                "it may be starting or stopping: wait, and look at the head's logs if it stays so",
            ),
            Protocol::Other(text) => causes::stranger(server, &self.credentials.scrub(&text)),
            Protocol::Nothing => match &self.credentials.tls {
                Some(files) => closed_after_tls(server, files),
                None => self.silent().await,
            },
        }
    }

    /// The preface of HTTP/2 was answered in HTTP/1: by a web server or a gateway, or by a TLS port of
    /// theirs, which answers such a thing in plain text.
    async fn http1(&self, http: &Http1) -> ConnectError {
        if self.credentials.tls.is_none()
            && http.is_bad_request()
            && greet::answers_tls(&self.route).await
        {
            return causes::server_speaks_tls(self.server);
        }
        gateways::answered_http1(self.server, http)
    }

    /// A plaintext connection was closed before a byte was received. A TLS port of Ray's does that,
    /// and the reply of a web server can be lost to the TCP reset that follows it.
    async fn silent(&self) -> ConnectError {
        if greet::answers_tls(&self.route).await {
            return causes::server_speaks_tls(self.server);
        }
        match greet::reply_to(&self.route, b"GET / HTTP/1.0\r\n\r\n").await {
            Protocol::Http1(http) => gateways::answered_http1(self.server, &http),
            _ => causes::closed(self.server),
        }
    }
}

/// Ray's own servers refuse a client certificate this way: after the handshake, which in TLS 1.3 is
/// complete for the client before the server has verified it, and without an alert.
fn closed_after_tls(server: &Server, files: &TlsFiles) -> ConnectError {
    let ours = tls::shown(files.cert.as_deref());
    server.error(
        Kind::Tls,
        format!(
            "the server hung up right after the TLS handshake, so it refuses our client \
             certificate{ours}"
        ),
        "set RAY_TLS_SERVER_CERT to a certificate that is signed by the cluster's CA and has not \
         expired; if it is, look at the head's logs",
    )
}
