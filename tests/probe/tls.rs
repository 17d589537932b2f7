//! Peers with certificates: valid, wrong, expired, or none.

use rcgen::{CertificateParams, DnType, KeyPair};
use seedcore_ray::error::Kind;
use seedcore_ray::probe::{Credentials, RayPort, TlsFiles, probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peer::{
    Peer, SHORT, assert_failure, check, gcs, grpc, grpc_over_tls, raw, ray_client, silent,
};
use crate::pki::{Ca, Files, Pair, expired, ip_as_dns_name, named};

async fn head(ca: &Ca, pair: &Pair) -> Peer {
    grpc_over_tls(ca.server(pair), gcs()).await
}

fn client_files(ca: &Ca) -> Files {
    Files::write(&ca.pair.cert, &ca.issue(&["client"]))
}

#[tokio::test]
async fn mutual_tls_passes() {
    let ca = Ca::new("cluster");
    let peer = head(&ca, &ca.issue(&["127.0.0.1"])).await;
    let files = client_files(&ca);
    let report = peer.probe_with(RayPort::Gcs, &files.credentials()).await;
    assert_eq!(
        report.result.unwrap().ray_version.as_deref(),
        Some("2.60.0")
    );
    let names: Vec<_> = report.steps.iter().map(|step| step.name).collect();
    assert_eq!(names, ["dns", "tcp", "tls", "grpc", "cluster"]);
    let error = peer.failure(RayPort::Client, &files.credentials()).await;
    assert_failure(&error, Kind::WrongPort, "is the GCS port");
}

#[tokio::test]
async fn what_grpc_accepts_passes() {
    let ca = Ca::new("cluster");
    let peer = head(&ca, &ca.issue_with(&ip_as_dns_name())).await;
    assert!(
        peer.probe_with(RayPort::Gcs, &client_files(&ca).credentials())
            .await
            .result
            .is_ok()
    );
    // One self-signed file for everything: Ray's own helper, and openssl req -x509.
    for alone in [self_signed(&ip_as_dns_name()), self_signed_ca()] {
        let peer = grpc_over_tls(ca.server(&alone), gcs()).await;
        let files = Files::write(&alone.cert, &ca.issue(&["client"]));
        let result = peer
            .probe_with(RayPort::Gcs, &files.credentials())
            .await
            .result;
        assert!(result.is_ok(), "{result:?}");
    }
}

fn self_signed(params: &CertificateParams) -> Pair {
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    Pair { cert, key }
}

fn self_signed_ca() -> Pair {
    let mut params = named(&["127.0.0.1"]);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    self_signed(&params)
}

#[tokio::test]
async fn a_tls_server_is_known_to_a_plaintext_probe() {
    let ca = Ca::new("cluster");
    let peer = head(&ca, &ca.issue(&["127.0.0.1"])).await;
    for ray_port in [RayPort::Client, RayPort::Gcs] {
        let error = peer.failure(ray_port, &Credentials::default()).await;
        assert_failure(&error, Kind::Tls, "RAY_USE_TLS is not set");
    }
}

#[tokio::test]
async fn a_tls_server_that_hangs_up_silently_is_known_by_a_second_look() {
    // Closes without an alert unless the greeting is TLS.
    let peer = raw(|mut stream| async move {
        let mut first = [0; 3];
        if stream.read_exact(&mut first).await.is_ok() && first[0] == 0x16 {
            let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 40]).await;
        }
    })
    .await;
    let error = peer.failure(RayPort::Gcs, &Credentials::default()).await;
    assert_failure(&error, Kind::Tls, "RAY_USE_TLS is not set");
}

#[tokio::test]
async fn a_plaintext_server_is_known_to_a_tls_probe() {
    let files = client_files(&Ca::new("cluster"));
    let ray = grpc(ray_client()).await;
    let error = ray.failure(RayPort::Client, &files.credentials()).await;
    assert_failure(&error, Kind::Tls, "the server does not");
    // Hangs up on TLS without a word, but speaks plain HTTP/2.
    let strict = raw(|mut stream| async move {
        let mut first = [0; 3];
        if stream.read_exact(&mut first).await.is_ok() && &first == b"PRI" {
            let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await;
        }
    })
    .await;
    let error = strict.failure(RayPort::Client, &files.credentials()).await;
    assert_failure(&error, Kind::Tls, "the server does not");
    let web = raw(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let error = web.failure(RayPort::Client, &files.credentials()).await;
    assert_failure(&error, Kind::NotRay, "web server");
}

#[tokio::test]
async fn certificates_that_are_no_good() {
    let ca = Ca::new("cluster");
    let other = Ca::new("other");
    let mut unnamed = named(&[]);
    unnamed
        .distinguished_name
        .push(DnType::CommonName, "10.9.8.7");
    let cases = [
        (other.issue(&["127.0.0.1"]), "not signed by our CA"),
        (
            ca.issue(&["head.ray", "10.9.8.7"]),
            "but for head.ray, 10.9.8.7",
        ),
        (ca.issue_with(&unnamed), "but for 10.9.8.7"),
        (ca.issue_with(&expired()), "expired"),
    ];
    let files = client_files(&ca);
    for (pair, words) in cases {
        let peer = head(&ca, &pair).await;
        let error = peer.failure(RayPort::Gcs, &files.credentials()).await;
        assert_failure(&error, Kind::Tls, words);
    }
}

#[tokio::test]
async fn a_client_certificate_of_another_ca_is_refused() {
    let ca = Ca::new("cluster");
    let peer = head(&ca, &ca.issue(&["127.0.0.1"])).await;
    let files = Files::write(&ca.pair.cert, &Ca::new("other").issue(&["client"]));
    let error = peer.failure(RayPort::Gcs, &files.credentials()).await;
    assert_failure(&error, Kind::Tls, "client certificate");
}

/// What is wrong with our settings.
type Change = fn(&mut TlsFiles);

#[tokio::test]
async fn our_own_files_are_checked_and_never_quoted() {
    let ca = Ca::new("cluster");
    let peer = head(&ca, &ca.issue(&["127.0.0.1"])).await;
    let without = |change: Change| {
        let files = client_files(&ca);
        let mut credentials = files.credentials();
        change(credentials.tls.as_mut().unwrap());
        (files, credentials)
    };
    let cases: [(Change, &str); 4] = [
        (|files| files.cert = None, "RAY_TLS_SERVER_CERT is not"),
        (|files| files.key = None, "RAY_TLS_SERVER_KEY is not"),
        (|files| files.ca = None, "RAY_TLS_CA_CERT is not"),
        (
            |files| files.key = Some("/nowhere/key.pem".into()),
            "cannot be read",
        ),
    ];
    for (change, words) in cases {
        let (_files, credentials) = without(change);
        let error = peer.failure(RayPort::Gcs, &credentials).await;
        assert_failure(&error, Kind::Tls, words);
    }
    for (name, words) in [
        ("ca.pem", "RAY_TLS_CA_CERT"),
        ("cert.pem", "RAY_TLS_SERVER_CERT"),
        ("key.pem", "RAY_TLS_SERVER_KEY"),
    ] {
        let files = client_files(&ca);
        files.put(name, "s3cr3t, but no PEM");
        let error = peer.failure(RayPort::Gcs, &files.credentials()).await;
        assert_failure(&error, Kind::Tls, words);
        assert!(!error.message.contains("s3cr3t"));
    }
    let files = client_files(&ca);
    files.put("key.pem", &KeyPair::generate().unwrap().serialize_pem());
    let error = peer.failure(RayPort::Gcs, &files.credentials()).await;
    assert_failure(&error, Kind::Tls, "cannot be used together");
}

#[tokio::test]
async fn a_silent_server_is_a_timeout_in_the_tls_phase() {
    let peer = silent().await;
    let files = client_files(&Ca::new("cluster"));
    let report = probe(&peer.server(), RayPort::Gcs, &files.credentials(), SHORT).await;
    assert_failure(
        &check(report.result.unwrap_err()),
        Kind::Timeout,
        "phase tls",
    );
}

#[tokio::test]
async fn a_server_that_hangs_up_after_the_handshake_refuses_our_certificate() {
    // As Ray's gRPC does: no alert.
    let ca = Ca::new("cluster");
    let acceptor = ca.server(&ca.issue(&["127.0.0.1"]));
    let peer = raw(move |stream| {
        let acceptor = acceptor.clone();
        async move { drop(acceptor.accept(stream).await) }
    })
    .await;
    let error = peer
        .failure(RayPort::Gcs, &client_files(&ca).credentials())
        .await;
    assert_failure(&error, Kind::Tls, "refuses our client certificate");
}
