//! Somebody else's `ray.init` while a lost cluster is waited for: to that cluster, or to another.

use std::sync::Arc;

use seedcore_ray::error::Kind;
use seedcore_ray::events::What;
use seedcore_ray::health::Plan;
use seedcore_ray::session::{ConnectionInfo, RayCluster, State};
use tokio::time::sleep;
use tracing::Level;

use crate::scene::{
    HEAD, SHUTDOWN, Scene, Server, Wish, connection, foreign, foreign_to_head, secs,
};

const SERVER: &str = "head:10001";

/// A watched connection to a server that is gone, after Ray was released.
async fn released(back: u64) -> Arc<Scene> {
    let scene = Scene::new();
    scene.up(SERVER);
    scene.watch(Plan::every(secs(5)));
    scene.set(SERVER, secs(30), Server::Fails(Kind::Refused));
    scene.set(SERVER, secs(back), Server::Up);
    scene.connected(HEAD).await;
    scene.until(What::Lost).await;
    sleep(SHUTDOWN + secs(1)).await;
    assert_eq!(scene.session.state(), State::Reconnecting);
    scene
}

fn natively(info: ConnectionInfo, is_private: bool) -> ConnectionInfo {
    let ray = RayCluster {
        is_private,
        is_native: true,
        ..info.ray.clone()
    };
    ConnectionInfo { ray, ..info }
}

#[tokio::test(start_paused = true)]
async fn another_cluster_is_an_error_and_no_recovery() {
    let scene = released(3600).await;
    let before = scene.lines.at(Level::ERROR).len();
    for _ in 0..3 {
        scene.adopt(foreign());
    }
    assert_eq!(scene.session.state(), State::Reconnecting);
    assert!(!scene.session.is_connected());
    assert_eq!(scene.session.generation(), 1);
    let errors = scene.lines.at(Level::ERROR);
    assert_eq!(errors.len(), before + 1, "{errors:?}");
    let line = errors.last().unwrap();
    for words in [HEAD, &foreign().address, "ray.init()", "ray.shutdown()"] {
        assert!(line.contains(words), "{words} in {line}");
    }
    assert_eq!(scene.events(), ["failed"]);
    let error = scene.session.last_error().unwrap();
    assert_eq!(error.kind, Kind::Lost);
    assert!(error.message.contains(&foreign().address), "{error}");
}

#[tokio::test(start_paused = true)]
async fn when_ours_is_back_it_is_said_what_has_to_be_done_and_then_it_is_taken() {
    let scene = released(200).await;
    scene.adopt(foreign());
    let before = scene.lines.at(Level::ERROR).len();
    sleep(secs(300)).await;
    assert_eq!(scene.session.state(), State::Reconnecting);
    assert_eq!(scene.count("shutdown"), 0, "it is somebody's");
    let errors = scene.lines.at(Level::ERROR);
    assert_eq!(errors.len(), before + 1, "{errors:?}");
    let line = errors.last().unwrap();
    assert!(
        line.contains("answers again") && line.contains("ray.shutdown()"),
        "{line}"
    );
    // A look of ours in between does not say it all again.
    scene.adopt(foreign());
    assert_eq!(scene.lines.at(Level::ERROR).len(), before + 1);

    scene.shut_down();
    scene.session.alone();
    let error = scene.session.last_error().unwrap();
    assert!(!error.message.contains(&foreign().address), "{error}");
    scene.until(What::Reconnected).await;
    assert_eq!(
        (scene.session.state(), scene.session.generation()),
        (State::Connected, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_address_is_the_recovery() {
    let scene = released(3600).await;
    scene.adopt(foreign_to_head());
    assert_eq!(scene.session.state(), State::Connected);
    assert_eq!(scene.events().last(), Some(&"reconnected"));
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_have_the_stranger_replaced() {
    let scene = released(200).await;
    scene.adopt(foreign());
    sleep(secs(300)).await;
    let forced = scene.ask(Wish::of(HEAD, secs(30)).forced()).await.unwrap();
    assert_eq!(forced.result, Ok(()));
    assert_eq!(scene.session.state(), State::Connected);
}

#[tokio::test(start_paused = true)]
async fn without_a_reconnect_nobody_waits_for_the_old_one() {
    let scene = Scene::new();
    scene.up(SERVER);
    scene.watch(Plan {
        reconnect: false,
        ..Plan::every(secs(5))
    });
    scene.set(SERVER, secs(30), Server::Fails(Kind::Refused));
    scene.connected(HEAD).await;
    scene.until(What::Lost).await;
    sleep(SHUTDOWN + secs(1)).await;
    assert_eq!(
        scene.session.adopt(connection(foreign()), None),
        Ok(()),
        "it is the one that there is"
    );
    assert_eq!(scene.session.state(), State::Connected);
}

#[tokio::test(start_paused = true)]
async fn a_private_cluster_is_a_stranger_to_a_ray_client() {
    for is_private in [true, false] {
        let scene = released(3600).await;
        let found = natively(foreign(), is_private);
        assert!(
            scene.session.adopt(connection(found), None).is_err(),
            "{is_private}"
        );
    }
}
