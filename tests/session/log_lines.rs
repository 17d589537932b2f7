//! One WARNING when it goes on, one ERROR when it gives up, one INFO when connected.

use std::time::Duration;

use seedcore_ray::error::Kind;
use tokio::time::sleep;
use tracing::Level;

use crate::scene::{HEAD, Init, Scene, Server, Wish, connection, foreign, secs};

#[tokio::test(start_paused = true)]
async fn connected_at_once_is_one_info() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.connected(HEAD).await;
    assert_eq!(scene.lines.warnings_and_errors(), (0, 0));
    assert_eq!(
        scene.lines.at(Level::INFO),
        [format!(
            "connected to Ray at {HEAD} (client, address from argument), namespace ns (from \
             default), in 10 ms"
        )]
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_announced_once_and_its_end_too() {
    let scene = Scene::new();
    let callers: Vec<_> = (0..8)
        .map(|_| scene.ask(Wish::of(HEAD, secs(30))))
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().kind(), Some(Kind::Refused));
    }
    assert_eq!(
        scene.lines.at(Level::WARN),
        [
            "head:10001: refused; trying again for up to 30.0 s (connect_timeout_s or \
          SEEDCORE_RAY_CONNECT_TIMEOUT_S shortens this). Try a hint."
        ]
    );
    assert_eq!(
        scene.lines.at(Level::ERROR),
        ["head:10001: refused. Try a hint. Gave up after 15 attempts in 30.0 s."]
    );
    assert!(scene.lines.at(Level::INFO).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_fails_at_once_is_one_error() {
    for (kind, timeout) in [(Kind::WrongPort, secs(30)), (Kind::Refused, Duration::ZERO)] {
        let scene = Scene::new();
        scene.set("head:10001", Duration::ZERO, Server::Fails(kind));
        let answer = scene.ask(Wish::of(HEAD, timeout)).await.unwrap();
        assert_eq!(answer.kind(), Some(kind));
        assert_eq!(scene.lines.warnings_and_errors(), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_early_finds_the_cause_in_the_log() {
    let scene = Scene::new();
    let callers = [1, 2, 5].map(|s| scene.ask(Wish::of(HEAD, secs(s))));
    for caller in callers {
        assert_eq!(caller.await.unwrap().kind(), Some(Kind::Refused));
    }
    let errors = scene.lines.at(Level::ERROR);
    assert_eq!(
        errors,
        [
            "head:10001: refused. Try a hint. The connect goes on for another caller.",
            "head:10001: refused. Try a hint. Gave up after 3 attempts in 5.0 s.",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_well_is_a_warning_and_an_info() {
    let scene = Scene::new();
    scene.set("head:10001", secs(3), Server::Up);
    scene.connected(HEAD).await;
    assert_eq!(scene.lines.warnings_and_errors(), (1, 0));
    assert_eq!(scene.lines.at(Level::INFO).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_is_a_warning_and_an_info() {
    let scene = Scene::with_fallbacks(&["ray://stable:10001"]);
    scene.up("stable:10001");
    scene.connected(HEAD).await;
    assert_eq!(
        scene.lines.at(Level::WARN),
        [format!(
            "{HEAD} did not answer (head:10001: refused); connected to ray://stable:10001 instead"
        )]
    );
    assert_eq!(scene.lines.at(Level::INFO).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_init_that_outlives_its_time_is_one_error() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.then_init(Init::Connects { after: secs(40) });
    let callers: Vec<_> = (0..8).map(|_| scene.ask(Wish::of(HEAD, secs(5)))).collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().kind(), Some(Kind::InitTimeout));
    }
    assert_eq!(scene.lines.warnings_and_errors(), (0, 1));
    sleep(secs(11)).await;
    assert_eq!(scene.lines.at(Level::INFO).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_called_off_is_no_error() {
    let scene = Scene::new();
    let caller = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    assert!(scene.close().await);
    assert_eq!(caller.await.unwrap().kind(), Some(Kind::Cancelled));
    assert_eq!(scene.lines.warnings_and_errors(), (1, 0));
    let said = scene.lines.at(Level::INFO);
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with(&format!("The connect to {HEAD} was called off. ")));
}

#[tokio::test(start_paused = true)]
async fn an_adopted_connection_is_one_info() {
    let scene = Scene::new();
    let _ = scene.session.adopt(connection(foreign()), None);
    let _ = scene.session.adopt(connection(foreign()), None);
    assert_eq!(
        scene.lines.at(Level::INFO),
        ["found Ray connected by someone else (10.0.0.1:6379), using that connection"]
    );
    assert_eq!(scene.session.generation(), 1);
}

#[test]
fn ray_missing_is_a_warning() {
    let scene = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(async { Scene::new() });
    let flight = scene.flight(Wish::of(HEAD, secs(1)));
    let _joined = scene.join(&flight, Duration::ZERO);
    let missing = crate::scene::failure(Kind::RayMissing, HEAD);
    scene.session.failed(&flight, &missing);
    assert_eq!(scene.lines.warnings_and_errors(), (1, 0));
}
