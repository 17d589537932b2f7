//! Servers that answer late, and connections that end, between two health checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use seedcore_ray::error::Kind;
use seedcore_ray::probe::{Credentials, KeptChannel, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::peer::{
    Answer, BOUND, Peer, SHORT, UNAVAILABLE, UNIMPLEMENTED, field, gcs, grpc, raw, ray_client,
    script,
};

fn kept(peer: &Peer, client_id: Option<&str>) -> KeptChannel {
    let keys = Box::new(Credentials::default);
    KeptChannel::new(peer.server(), client_id.map(str::to_owned), keys)
}

/// A proxy before `peer` that holds back each byte of the server for `delay`, and counts connections.
async fn delayed(peer: &Peer, delay: Duration) -> (Peer, Arc<AtomicUsize>) {
    let (server, count) = (peer.address, Arc::new(AtomicUsize::new(0)));
    let connections = Arc::clone(&count);
    let proxy = raw(move |client| {
        connections.fetch_add(1, Ordering::Relaxed);
        async move {
            let server = TcpStream::connect(server).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let up = tokio::io::copy(&mut from_client, &mut to_server);
            let down = async {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = from_server.read(&mut bytes).await {
                    sleep(delay).await;
                    if to_client.write_all(&bytes[..n]).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! { _ = up => {}, () = down => {} }
        }
    })
    .await;
    (proxy, count)
}

#[tokio::test]
async fn a_late_answer_is_an_answer() {
    let server = grpc(gcs()).await;
    let (slow, _) = delayed(&server, SHORT * 3).await;
    let mut channel = kept(&slow, None);
    for _ in 0..3 {
        let error = channel.look(SHORT, false).await.unwrap_err();
        assert_eq!(error.kind, Kind::Timeout, "{error:?}");
        timeout(BOUND, channel.news()).await.expect("it comes late");
        assert!(matches!(
            channel.look(SHORT, false).await,
            Ok(Reply::Cluster(_))
        ));
    }
}

#[tokio::test]
async fn a_line_is_kept_while_it_answers() {
    let server = grpc(gcs()).await;
    let (proxy, count) = delayed(&server, Duration::ZERO).await;
    let mut channel = kept(&proxy, None);
    for _ in 0..5 {
        channel.look(BOUND, false).await.unwrap();
        assert!(timeout(SHORT / 4, channel.news()).await.is_err());
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_end_of_a_connection_is_news() {
    let server = grpc(gcs()).await;
    let mut channel = kept(&server, None);
    channel.look(BOUND, false).await.unwrap();
    drop(server);
    timeout(BOUND, channel.news())
        .await
        .expect("the kernel closes it");
    let error = channel.look(BOUND, false).await.unwrap_err();
    assert_eq!(error.kind, Kind::Refused, "{error:?}");
    // Nothing is open, so there is no news.
    assert!(timeout(SHORT, channel.news()).await.is_err());
}

#[tokio::test]
async fn a_session_is_known_or_not_or_has_lost_its_server() {
    let known = grpc(ray_client()).await;
    assert_eq!(
        kept(&known, Some("ours")).look(BOUND, false).await,
        Ok(Reply::Session)
    );
    assert_eq!(
        kept(&known, Some("other")).look(BOUND, false).await,
        Ok(Reply::NoSession)
    );
    let orphaned = grpc(script(|path, headers| match path {
        "/ray.rpc.RayletDriver/ClusterInfo" if headers.get("client_id").is_none() => {
            Answer::Message(field(2, b"{}"))
        }
        _ => Answer::Status(UNAVAILABLE, "failed to connect to all addresses"),
    }))
    .await;
    assert_eq!(
        kept(&orphaned, Some("ours")).look(BOUND, false).await,
        Ok(Reply::NoServer)
    );
    // Where the proxy itself says so, it is the proxy that is unavailable.
    let away = grpc(script(|_, _| Answer::Status(UNAVAILABLE, "starting"))).await;
    let error = kept(&away, Some("ours"))
        .look(BOUND, false)
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::NotReady, "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_silent_has_ended_only_where_it_is_suspect() {
    let peer = grpc(script(|_, headers| match headers.get("client_id") {
        None => Answer::Message(field(2, b"{}")),
        Some(_) => Answer::Silence,
    }))
    .await;
    let error = kept(&peer, Some("ours")).look(BOUND / 5, false).await;
    assert_eq!(error.unwrap_err().kind, Kind::Timeout);
    let reply = kept(&peer, Some("ours")).look(BOUND, true).await;
    assert_eq!(reply, Ok(Reply::NoServer));
}

/// A Ray Client whose GCS is `gcs`, which answers the first look-ups, so many.
async fn client_of(gcs: &Peer, look_ups: usize) -> Peer {
    let context = field(4, &field(6, gcs.address.to_string().as_bytes()));
    let (looks, asked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    grpc(script(move |path, _| match path {
        // What is asked is not told apart here: the first look, the address of the GCS, further looks.
        "/ray.rpc.RayletDriver/ClusterInfo" => match looks.fetch_add(1, Ordering::Relaxed) {
            1 => Answer::Message(context.clone()),
            _ => Answer::Message(field(2, b"true")),
        },
        _ if asked.fetch_add(1, Ordering::Relaxed) < look_ups => {
            Answer::Status(UNIMPLEMENTED, "Method not found!")
        }
        _ => Answer::Silence,
    }))
    .await
}

#[tokio::test]
async fn the_end_of_the_gcs_behind_a_session_is_news() {
    let gcs = grpc(gcs()).await;
    let client = client_of(&gcs, 1).await;
    let mut channel = kept(&client, Some("ours"));
    assert_eq!(channel.look(BOUND, false).await, Ok(Reply::Session));
    drop(gcs);
    timeout(BOUND, channel.news())
        .await
        .expect("the kernel closes it");
    assert_eq!(
        channel.look(BOUND, false).await,
        Ok(Reply::NoGcs { refuses: true })
    );
}

#[tokio::test]
async fn a_gcs_that_is_somebody_elses_does_not_count() {
    let gcs = grpc(gcs()).await;
    let client = client_of(&gcs, 2).await;
    let mut channel = kept(&client, Some("ours"));
    assert_eq!(channel.look(BOUND, false).await, Ok(Reply::Session));
    drop(gcs);
    timeout(BOUND, channel.news())
        .await
        .expect("the kernel closes it");
    // The session says that its GCS answers: what refuses here is another server.
    assert_eq!(channel.look(BOUND, false).await, Ok(Reply::Session));
}
