//! Peers that speak gRPC: Ray's ports, the wrong ones, and impostors.

use seedcore_ray::error::Kind;
use seedcore_ray::probe::{
    AuthMode, Credentials, RayPort, client_session_alive, cluster_state, probe,
};

use crate::peer::{
    Answer, BOUND, SHORT, UNAUTHENTICATED, UNAVAILABLE, UNIMPLEMENTED, assert_failure, check, gcs,
    grpc, ray_client, script,
};

fn with_token(token: &str) -> Credentials {
    Credentials {
        token: Some(token.to_owned()),
        token_source: "RAY_AUTH_TOKEN".to_owned(),
        mode: AuthMode::Token,
        ..Credentials::default()
    }
}

#[tokio::test]
async fn the_right_ports_pass() {
    let client = grpc(ray_client()).await;
    let facts = client.probe(RayPort::Client).await.unwrap();
    assert_eq!(facts.peer, Some(client.address));
    let gcs = grpc(gcs()).await;
    let report = gcs.probe_with(RayPort::Gcs, &Credentials::default()).await;
    let facts = report.result.unwrap();
    assert_eq!(facts.ray_version.as_deref(), Some("2.60.0"));
    assert_eq!(facts.python_version.as_deref(), Some("3.11.9"));
    assert_eq!(facts.cluster_id, Some("ab".repeat(28)));
    let names: Vec<_> = report.steps.iter().map(|step| step.name).collect();
    assert_eq!(names, ["dns", "tcp", "grpc", "cluster"]);
}

#[tokio::test]
async fn the_other_port_of_ray_is_named() {
    let gcs = grpc(gcs()).await;
    let error = gcs.failure(RayPort::Client, &Credentials::default()).await;
    assert_failure(
        &error,
        Kind::WrongPort,
        "is the GCS port; Ray Client is usually ray://127.0.0.1:10001",
    );
    let client = grpc(ray_client()).await;
    let error = client.failure(RayPort::Gcs, &Credentials::default()).await;
    assert_failure(&error, Kind::WrongPort, "this is the Ray Client port");
    assert!(error.hint.contains(&format!("ray://{}", client.address)));
}

#[tokio::test]
async fn the_other_port_of_a_cluster_with_tokens_is_named() {
    let gcs = grpc(script(|path, _| match path {
        "/ray.rpc.NodeInfoGcsService/CheckAlive" => Answer::Status(UNAUTHENTICATED, "no"),
        _ => Answer::Status(UNIMPLEMENTED, ""),
    }))
    .await;
    let error = gcs.failure(RayPort::Client, &Credentials::default()).await;
    assert_failure(&error, Kind::WrongPort, "is the GCS port");
}

#[tokio::test]
async fn another_grpc_server_is_a_wrong_port() {
    let peer = grpc(script(|_, _| Answer::Status(UNIMPLEMENTED, ""))).await;
    for ray_port in [RayPort::Client, RayPort::Gcs] {
        let error = peer.failure(ray_port, &Credentials::default()).await;
        assert_failure(&error, Kind::WrongPort, "neither the GCS nor Ray Client");
    }
}

#[tokio::test]
async fn statuses_become_causes() {
    let cases = [
        (UNAUTHENTICATED, Kind::Auth, "requires a token"),
        (7, Kind::Auth, "requires a token"),
        (UNAVAILABLE, Kind::NotReady, "Unavailable"),
        (4, Kind::Timeout, "DeadlineExceeded"),
        (2, Kind::NotReady, "Unknown"),
        (13, Kind::NotRay, "not Ray's"),
        (999, Kind::NotReady, "Unknown"),
    ];
    for (code, kind, words) in cases {
        let peer = grpc(script(move |_, _| Answer::Status(code, "said"))).await;
        for ray_port in [RayPort::Client, RayPort::Gcs] {
            let error = peer.failure(ray_port, &Credentials::default()).await;
            assert_failure(&error, kind, words);
        }
    }
}

#[tokio::test]
async fn absurd_answers_are_not_ray() {
    for declared in [1, 1 << 20, u32::MAX] {
        let peer = grpc(script(move |_, _| Answer::Declares(declared))).await;
        let error = peer.failure(RayPort::Gcs, &Credentials::default()).await;
        assert_failure(&error, Kind::NotRay, "not Ray's");
    }
    let peer = grpc(script(|_, _| Answer::Message(vec![0xff; 100]))).await;
    let error = peer.failure(RayPort::Client, &Credentials::default()).await;
    assert_failure(&error, Kind::NotRay, "not Ray's");
}

#[tokio::test]
async fn a_server_that_never_answers_the_call() {
    let peer = grpc(script(|_, _| Answer::Silence)).await;
    let report = probe(
        &peer.server(),
        RayPort::Client,
        &Credentials::default(),
        SHORT,
    )
    .await;
    assert_failure(
        &check(report.result.unwrap_err()),
        Kind::Timeout,
        "speaks HTTP/2",
    );
    let half = grpc(script(|path, _| match path {
        "/ray.rpc.NodeInfoGcsService/CheckAlive" => Answer::Message(vec![]),
        _ => Answer::Silence,
    }))
    .await;
    let report = probe(&half.server(), RayPort::Gcs, &Credentials::default(), SHORT).await;
    assert_failure(
        &check(report.result.unwrap_err()),
        Kind::Timeout,
        "phase cluster",
    );
}

#[tokio::test]
async fn a_status_inside_the_reply_counts() {
    // GcsStatus { code: 5, message: "x" }
    let peer = grpc(script(|_, _| {
        Answer::Message(vec![0x0a, 5, 8, 5, 0x12, 1, b'x'])
    }))
    .await;
    let error = peer.failure(RayPort::Gcs, &Credentials::default()).await;
    assert_failure(&error, Kind::NotReady, "GCS status 5 x");
}

#[tokio::test]
async fn the_token_is_sent_and_never_shown() {
    let secret = "s3cr3t-t0ken-value";
    let peer = grpc(script(move |_, headers| {
        let sent = headers
            .get("authorization")
            .map(http::HeaderValue::as_bytes);
        assert_eq!(sent, Some(format!("Bearer {secret}").as_bytes()));
        // An impostor that echoes what it got.
        Answer::Status(UNAVAILABLE, "you said Bearer s3cr3t-t0ken-value")
    }))
    .await;
    let credentials = with_token(secret);
    let report = peer.probe_with(RayPort::Gcs, &credentials).await;
    let everything = format!("{report:?} {credentials:?}");
    assert!(everything.contains("you said Bearer ***"), "{everything}");
    assert!(!everything.contains(secret), "{everything}");
}

#[tokio::test]
async fn a_refused_token_names_its_source() {
    let peer = grpc(script(|_, _| {
        Answer::Status(UNAUTHENTICATED, "Invalid token")
    }))
    .await;
    let error = peer.failure(RayPort::Client, &with_token("old")).await;
    assert_failure(&error, Kind::Auth, "refused the token from RAY_AUTH_TOKEN");
}

#[tokio::test]
async fn a_token_that_no_header_can_carry() {
    let peer = grpc(gcs()).await;
    let error = peer.failure(RayPort::Gcs, &with_token("a\nb")).await;
    assert_failure(&error, Kind::Auth, "no header can carry");
    assert!(!error.message.contains("a\nb"));
}

#[tokio::test]
async fn the_state_of_a_cluster() {
    let peer = grpc(gcs()).await;
    let state = cluster_state(&peer.server(), &Credentials::default(), BOUND)
        .await
        .unwrap();
    assert_eq!(state.nodes, 1, "one alive, one dead");
    assert_eq!(state.total, [("CPU".to_owned(), 8.0)].into());
    assert_eq!(state.available, [("CPU".to_owned(), 0.5)].into());
    let wrong = grpc(ray_client()).await;
    let error = cluster_state(&wrong.server(), &Credentials::default(), BOUND).await;
    assert_eq!(error.unwrap_err().kind, Kind::WrongPort);
}

#[tokio::test]
async fn our_session_is_known_or_lost() {
    let peer = grpc(ray_client()).await;
    let ask =
        async |id| client_session_alive(&peer.server(), id, &Credentials::default(), BOUND).await;
    assert_eq!(ask("ours").await, Ok(true));
    assert_eq!(ask("another").await, Ok(false));
    assert_eq!(ask("not\nsendable").await, Ok(false));
    let wrong = grpc(gcs()).await;
    let error = client_session_alive(&wrong.server(), "ours", &Credentials::default(), BOUND).await;
    assert_eq!(error.unwrap_err().kind, Kind::WrongPort);
}
