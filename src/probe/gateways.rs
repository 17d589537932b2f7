//! What a gateway or proxy before Ray answers in Ray's place, and what it does to our calls.
//!
//! docs/gateways.md has the answers and what each of them means.

use http::StatusCode;
use tonic::{Code, Status};

use super::causes;
use super::credentials::Credentials;
use super::http_answer::{HttpAnswer, product};
use super::server::Server;
use super::sniff::Http1;
use crate::error::{ConnectError, Kind};

/// A call was answered in HTTP/2, but not in gRPC.
pub(super) fn answered(
    server: &Server,
    credentials: &Credentials,
    answer: &HttpAnswer,
) -> ConnectError {
    match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => refused(server, credentials, answer),
        _ if answer.is_of_gateway_that_waits() => waits(server, answer),
        _ => causes::web(server, &answer.to_string()),
    }
}

/// The preface of HTTP/2 was answered in HTTP/1.
///
/// Only 5xx is a gateway's: a web server that knows no HTTP/2 says 400, 404 or 505, and stays what it
/// is.
pub(super) fn answered_http1(server: &Server, http: &Http1) -> ConnectError {
    match http.answer() {
        Some(answer) if answer.status.is_server_error() && answer.is_of_gateway_that_waits() => {
            waits(server, &answer)
        }
        _ => match &http.server {
            Some(product) => causes::web(server, &format!("{}, {product}", http.line)),
            None => causes::web(server, &http.line),
        },
    }
}

fn waits(server: &Server, answer: &HttpAnswer) -> ConnectError {
    let gateway = named(answer.server.as_deref());
    let (why, hint) = if answer.status == StatusCode::NOT_FOUND {
        (
            "it has no route to Ray for this host and port",
            "check the routes of the gateway or ingress, which may still be on their way to it",
        )
    } else {
        (
            "it does not reach Ray",
            "check the Ray head behind the gateway or ingress, and which port it passes calls on to",
        )
    };
    server.error(
        Kind::NotReady,
        format!("{gateway} answered HTTP {}: {why}", answer.status),
        hint,
    )
}

fn refused(server: &Server, credentials: &Credentials, answer: &HttpAnswer) -> ConnectError {
    let gateway = named(answer.server.as_deref());
    let sent = if credentials.given.metadata.is_empty() {
        "without _metadata"
    } else {
        "with the _metadata given"
    };
    server.error(
        Kind::Auth,
        format!(
            "{gateway} refused the call, {sent}, with HTTP {}; it is not Ray that did",
            answer.status
        ),
        "connect with the headers that the gateway wants: _metadata=[(\"authorization\", \"...\")]",
    )
}

/// A call was refused with a status of gRPC's that came through `gateway`: its own, or Ray's.
pub(super) fn refused_in_grpc(server: &Server, gateway: &str, said: &str) -> ConnectError {
    server.error(
        Kind::Auth,
        format!("{}, or Ray behind it, refused the call: {said}", named(Some(gateway))),
        "connect with the headers that the gateway wants, _metadata=[(\"authorization\", \"...\")], \
         or with Ray's token, RAY_AUTH_MODE=token",
    )
}

/// The header `client_id` does not arrive; Ray's own answer to that is `status`.
pub(super) fn drops_client_id(server: &Server, status: &Status) -> ConnectError {
    let gateway = named(of(status).as_deref());
    server.error(
        Kind::Gateway,
        format!(
            "Ray Client answers, but {gateway} drops the header client_id, without which Ray refuses \
             each connect"
        ),
        "let headers with an underscore pass: in nginx, set \"underscores_in_headers on;\" in the \
         server block (docs/gateways.md)",
    )
}

/// Ray, or a gateway in its place, answered with a status of gRPC's that time may cure.
pub(super) fn not_ready(server: &Server, status: &Status, said: &str) -> ConnectError {
    let code = status.code();
    let kind = match code {
        Code::DeadlineExceeded => Kind::Timeout,
        _ => Kind::NotReady,
    };
    let (who, behind) = match of(status) {
        Some(gateway) => (named(Some(&gateway)), ", and the gateway's way to it"),
        None => ("Ray".to_owned(), ""),
    };
    server.error(
        kind,
        format!("{who} answered {code:?} in the phase grpc: {said}"),
        format!(
            "the head is starting, or has lost its GCS: wait, and look at its logs (gcs_server.out, \
             ray_client_server.err){behind} if it stays so"
        ),
    )
}

/// The gateway that an answer came through. Ray's own servers do not name themselves.
pub(super) fn of(status: &Status) -> Option<String> {
    product(status.metadata().as_ref())
}

fn named(gateway: Option<&str>) -> String {
    gateway.map_or_else(
        || "a gateway".to_owned(),
        |name| format!("a gateway ({name})"),
    )
}
