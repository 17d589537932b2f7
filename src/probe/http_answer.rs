//! Answers in HTTP that are not gRPC: those of gateways and of web servers.

use std::error::Error as _;
use std::fmt;

use http::{HeaderMap, Response, StatusCode, header};
use tonic::{Status, transport};

/// What a server that speaks HTTP, and not gRPC, has answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("HTTP {status}{}", from(.server.as_deref()))]
pub(super) struct HttpAnswer {
    pub status: StatusCode,
    /// The product that the server calls itself, safe to show.
    pub server: Option<String>,
}

impl HttpAnswer {
    /// The answer in which a call has ended, if it was none of gRPC's.
    pub fn of(status: &Status) -> Option<&Self> {
        match status.source()?.downcast_ref()? {
            NoGrpc::Answer(answer) => Some(answer),
            NoGrpc::Connection(_) => None,
        }
    }

    /// Whether it is the sort of answer that a gateway gives while it has no server behind it, or no
    /// route to one: time may cure it.
    pub fn is_of_gateway_that_waits(&self) -> bool {
        // 501 and 505 are those of a web server that does not know what we ask for.
        let cannot = [
            StatusCode::NOT_IMPLEMENTED,
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        ];
        let waits = [
            StatusCode::NOT_FOUND,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        waits.contains(&self.status)
            || (self.status.is_server_error() && !cannot.contains(&self.status))
    }
}

/// `" from nginx"`, or nothing.
fn from(server: Option<&str>) -> impl fmt::Display {
    server.map_or_else(String::new, |server| format!(" from {server}"))
}

/// Why a call got no answer of gRPC's.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoGrpc {
    /// It got another one.
    #[error(transparent)]
    Answer(HttpAnswer),
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] transport::Error),
}

/// Turns a response that is not gRPC's into an error. tonic itself would decode the
/// page in its body as a message, and fail at that.
///
/// # Errors
/// That response, or the failure of the connection.
pub(super) fn only_grpc<B>(
    response: Result<Response<B>, transport::Error>,
) -> Result<Response<B>, NoGrpc> {
    let response = response?;
    if is_grpc(&response) {
        return Ok(response);
    }
    Err(NoGrpc::Answer(HttpAnswer {
        status: response.status(),
        server: product(response.headers()),
    }))
}

/// A status of gRPC's counts whatever the status of HTTP is: nginx can be told to send one with a 204.
fn is_grpc<B>(response: &Response<B>) -> bool {
    let headers = response.headers();
    let content = headers.get(header::CONTENT_TYPE);
    let is_foreign = content.is_some_and(|kind| !kind.as_bytes().starts_with(b"application/grpc"));
    headers.contains_key("grpc-status") || (response.status() == StatusCode::OK && !is_foreign)
}

/// The product that a server calls itself. Ray's own servers do not.
pub(super) fn product(headers: &HeaderMap) -> Option<String> {
    shown(headers.get(header::SERVER)?.as_bytes())
}

/// A name from a server, if it is readable text: no more of it than a name has.
pub(super) fn shown(name: &[u8]) -> Option<String> {
    let is_readable = name.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let name: String = name.iter().take(40).copied().map(char::from).collect();
    (is_readable && !name.trim().is_empty()).then(|| name.trim().to_owned())
}
