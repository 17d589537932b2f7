//! Errors that more than one protocol can end in.

use std::time::Duration;

use super::server::Server;
use super::sniff::Protocol;
use crate::error::{ConnectError, Kind};

/// Hint for a server that is not Ray.
pub(super) const NOT_RAY_HINT: &str = "check host and port: Ray Client is usually \
     ray://host:10001, the GCS host:6379";

/// The server speaks TLS, and this process was not told to.
pub(super) fn server_speaks_tls(server: &Server) -> ConnectError {
    server.error(
        Kind::Tls,
        "the server speaks TLS and we do not, because RAY_USE_TLS is not set",
        "set RAY_USE_TLS=1 with RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY and RAY_TLS_CA_CERT of \
         this cluster; if only the gateway before it speaks TLS, connect with \
         _credentials=grpc.ssl_channel_credentials()",
    )
}

/// A web server answered with `said`.
pub(super) fn web(server: &Server, said: &str) -> ConnectError {
    server.error(
        Kind::NotRay,
        format!("a web server answers here, not Ray ({said})"),
        "the dashboard (8265) and Serve (8000) are web servers; Ray Client is usually \
         ray://host:10001, the GCS host:6379; a gateway has to speak HTTP/2 here",
    )
}

/// A server of an unknown or foreign protocol sent `said`.
pub(super) fn stranger(server: &Server, said: &str) -> ConnectError {
    server.error(
        Kind::NotRay,
        format!("something answers here, but not Ray; it said {said}"),
        NOT_RAY_HINT,
    )
}

/// The server closed the connection before it sent anything.
///
/// Transient: proxies and port-forwards accept first and look for their backend later.
pub(super) fn closed(server: &Server) -> ConnectError {
    server.error(
        Kind::NotReady,
        "the connection was accepted and closed without a word",
        "typical of a proxy or port-forward whose Ray is not up: check the head behind it; else \
         check the port",
    )
}

/// The timeout of a probe expired during the step `phase`.
pub(super) fn timed_out(
    server: &Server,
    phase: &str,
    received: &Protocol,
    timeout: Duration,
) -> ConnectError {
    let (cause, hint) = match phase {
        "tcp" => return tcp_timed_out(server, timeout),
        "dns" => (
            "the name was not resolved",
            "the DNS server is slow or unreachable: check /etc/resolv.conf, or use the IP address",
        ),
        "tls" => (
            "accepts connections, but did not finish the TLS handshake",
            "the server hangs, or is not Ray: check the port and the head's logs",
        ),
        "cluster" => (
            "the GCS is alive, but did not report its cluster id and versions",
            "its storage may hang (Redis, if the head is fault tolerant): look at gcs_server.out",
        ),
        _ => match received {
            Protocol::Nothing => (
                "accepts connections, but says nothing",
                "the server hangs, or is not Ray: check the port and the head's logs",
            ),
            Protocol::Http2 => (
                "speaks HTTP/2, but did not answer the call",
                "the head is overloaded or hangs: look at its load and logs, or raise \
                 SEEDCORE_RAY_PROBE_TIMEOUT_S",
            ),
            _ => ("began to answer, but not in gRPC", NOT_RAY_HINT),
        },
    };
    server.error(
        Kind::Timeout,
        format!("{cause} within {timeout:?} (phase {phase})"),
        hint,
    )
}

/// No address answered the TCP connect in time.
pub(super) fn tcp_timed_out(server: &Server, timeout: Duration) -> ConnectError {
    server.error(
        Kind::Timeout,
        format!("no answer to the TCP connect within {timeout:?}"),
        "the packets are lost: check that the host is up and that no firewall, security group or \
         NetworkPolicy drops them",
    )
}
