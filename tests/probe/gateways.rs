//! Gateways before Ray: what they answer in its place, and what they do to the calls that they pass.

use seedcore_ray::error::Kind;
use seedcore_ray::probe::{Credentials, Given, RayPort};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peer::{
    Answer, Peer, Script, UNAUTHENTICATED, UNAVAILABLE, assert_failure, field, grpc, raw, script,
    silent,
};

const FAILED_PRECONDITION: u32 = 9;
const NOT_FOUND: u32 = 5;
const PERMISSION_DENIED: u32 = 7;

const PING: &str = "/ray.rpc.RayletDriver/ClusterInfo";
const DATAPATH: &str = "/ray.rpc.RayletDataStreamer/Datapath";

#[tokio::test]
async fn answers_in_http2_that_are_not_of_grpc() {
    let gateway = "a gateway (nginx/1.22.1)";
    let cases = [
        (200, Kind::NotRay, "a web server answers here"),
        (302, Kind::NotRay, "HTTP 302 Found from nginx/1.22.1"),
        (400, Kind::NotRay, "a web server answers here"),
        (401, Kind::Auth, gateway),
        (403, Kind::Auth, gateway),
        (404, Kind::NotReady, "no route to Ray"),
        (429, Kind::NotReady, gateway),
        (500, Kind::NotReady, gateway),
        (501, Kind::NotRay, "a web server answers here"),
        (502, Kind::NotReady, "HTTP 502 Bad Gateway"),
        (503, Kind::NotReady, gateway),
        (504, Kind::NotReady, gateway),
    ];
    for (code, kind, words) in cases {
        let peer = grpc(script(move |_, _| Answer::Http(code))).await;
        for ray_port in [RayPort::Client, RayPort::Gcs] {
            let error = peer.failure(ray_port, &Credentials::default()).await;
            assert_failure(&error, kind, words);
        }
    }
}

/// A peer that answers whatever it gets with a status line of HTTP/1.1.
async fn http1(line: &'static str) -> Peer {
    raw(move |mut stream| async move {
        let _ = stream.read(&mut [0; 256]).await;
        let head = format!("HTTP/1.1 {line}\r\nDate: now\r\nServer: awselb/2.0\r\n\r\n<html>");
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.shutdown().await;
        // Whoever closes with unread bytes resets the connection.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

#[tokio::test]
async fn answers_in_http1_that_are_those_of_a_gateway() {
    let gateway = "a gateway (awselb/2.0) answered HTTP";
    let web = "a web server answers here";
    for (line, kind, words) in [
        ("502 Bad Gateway", Kind::NotReady, gateway),
        ("503 Service Unavailable", Kind::NotReady, gateway),
        ("504 Gateway Timeout", Kind::NotReady, gateway),
        ("500 Internal Server Error", Kind::NotReady, gateway),
        ("200 OK", Kind::NotRay, web),
        ("400 Bad Request", Kind::NotRay, "awselb/2.0"),
        ("404 Not Found", Kind::NotRay, web),
        ("501 Unsupported method", Kind::NotRay, web),
        ("505 HTTP Version Not Supported", Kind::NotRay, web),
        ("nonsense", Kind::NotRay, web),
    ] {
        let peer = http1(line).await;
        let error = peer.failure(RayPort::Client, &Credentials::default()).await;
        assert_failure(&error, kind, words);
    }
}

#[tokio::test]
async fn statuses_of_grpc_that_a_gateway_sends() {
    for (code, said, kind, words) in [
        (
            UNAVAILABLE,
            "no healthy upstream",
            Kind::NotReady,
            "a gateway (envoy) answered Unavailable in the phase grpc: no healthy upstream",
        ),
        (
            PERMISSION_DENIED,
            "RBAC: access denied",
            Kind::Auth,
            "a gateway (envoy), or Ray behind it, refused the call: RBAC: access denied",
        ),
        // Ray's own words, through a gateway.
        (
            UNAUTHENTICATED,
            "Invalid or missing authentication token",
            Kind::Auth,
            "the cluster requires a token",
        ),
    ] {
        let peer = grpc(script(move |_, _| Answer::Gateway("envoy", code, said))).await;
        for ray_port in [RayPort::Client, RayPort::Gcs] {
            let error = peer.failure(ray_port, &Credentials::default()).await;
            assert_failure(&error, kind, words);
        }
    }
}

/// The Ray Client port as far as a look needs it, behind what answers the data channel.
fn behind(data_channel: impl Fn(Option<&str>) -> Answer + Send + Sync + 'static) -> Script {
    script(move |path, headers| match path {
        PING => Answer::Message(field(2, b"{}")),
        DATAPATH => {
            assert_eq!(headers.get("reconnecting").unwrap(), "True");
            data_channel(headers.get("client_id").map(|id| id.to_str().unwrap()))
        }
        _ => Answer::Status(12, "Method not found!"),
    })
}

#[tokio::test]
async fn a_gateway_that_drops_client_id() {
    let peer = grpc(behind(|_| {
        Answer::Gateway("nginx/1.22.1", FAILED_PRECONDITION, "")
    }))
    .await;
    let error = peer.failure(RayPort::Client, &Credentials::default()).await;
    assert_failure(
        &error,
        Kind::Gateway,
        "a gateway (nginx/1.22.1) drops the header client_id",
    );
    assert!(error.hint.contains("underscores_in_headers on"), "{error}");
    assert!(!error.kind.is_transient());
}

#[tokio::test]
async fn a_way_that_leaves_client_id_alone() {
    let peer = grpc(behind(|id| {
        assert!(id.is_some());
        Answer::Status(NOT_FOUND, "Attempted to reconnect a session")
    }))
    .await;
    peer.probe(RayPort::Client).await.unwrap();
    // Nobody waits for long for the answer to that.
    let peer = grpc(behind(|_| Answer::Silence)).await;
    peer.probe(RayPort::Client).await.unwrap();
}

fn given(metadata: &[(&str, &str)], has_credentials: bool) -> Credentials {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    Credentials::default().with(Given {
        metadata: metadata.iter().map(pair).collect(),
        has_credentials,
        ..Given::default()
    })
}

#[tokio::test]
async fn the_headers_of_the_caller_are_sent_and_never_shown() {
    let peer = grpc(script(|_, headers| {
        assert_eq!(headers.get("authorization").unwrap(), "Bearer s3cr3t-value");
        assert_eq!(headers.get("x-tenant").unwrap(), "blue");
        assert!(headers.contains_key("trace-bin"));
        Answer::Status(UNAVAILABLE, "you said Bearer s3cr3t-value")
    }))
    .await;
    let credentials = given(
        &[
            ("authorization", "Bearer s3cr3t-value"),
            ("x-tenant", "blue"),
            ("trace-bin", "ab"),
            ("no header", "x"),
            ("unsendable", "a\nb"),
        ],
        false,
    );
    let report = peer.probe_with(RayPort::Client, &credentials).await;
    let everything = format!("{report:?} {credentials:?}");
    assert!(everything.contains("you said"), "{everything}");
    assert!(!everything.contains("s3cr3t"), "{everything}");
}

#[tokio::test]
async fn with_credentials_of_the_caller_the_look_ends_at_tcp() {
    let peer = silent().await;
    let report = peer.probe_with(RayPort::Client, &given(&[], true)).await;
    assert_eq!(report.result.unwrap().peer, Some(peer.address));
    let names: Vec<_> = report.steps.iter().map(|step| step.name).collect();
    assert_eq!(names, ["dns", "tcp"]);
}
