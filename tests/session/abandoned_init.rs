//! `ray.init` outlives its time.

use std::time::Duration;

use seedcore_ray::error::Kind;
use seedcore_ray::session::State;
use tokio::time::sleep;

use crate::scene::{HEAD, INIT, Init, OTHER, Scene, Server, Wish, secs};

/// A scene in which `ray.init` connects (or raises) a minute after it began, and one caller has
/// given it up.
async fn abandoned(init: Init) -> std::sync::Arc<Scene> {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.up("other:10001");
    scene.then_init(init);
    let answer = scene.ask(Wish::of(HEAD, secs(5))).await.unwrap();
    assert_eq!(
        (answer.kind(), answer.took),
        (Some(Kind::InitTimeout), INIT)
    );
    assert_eq!(answer.result.unwrap_err().attempts, 1);
    assert_eq!(scene.session.state(), State::Connecting);
    scene
}

const LATE: Init = Init::Connects { after: secs(60) };

#[tokio::test(start_paused = true)]
async fn a_late_success_is_adopted() {
    let scene = abandoned(LATE).await;
    sleep(secs(31)).await;
    assert!(scene.session.is_connected());
    assert_eq!(scene.session.last_error(), None);
    assert_eq!(scene.count("shutdown"), 0);
    assert!(!scene.session.is_changing());
}

#[tokio::test(start_paused = true)]
async fn callers_for_the_same_target_join_it() {
    let scene = abandoned(LATE).await;
    let early = scene.ask(Wish::of(HEAD, secs(5))).await.unwrap();
    assert_eq!(
        (early.kind(), early.took),
        (Some(Kind::InitTimeout), secs(5))
    );
    let look = scene.ask(Wish::of(HEAD, Duration::ZERO)).await.unwrap();
    assert_eq!(
        (look.kind(), look.took),
        (Some(Kind::InitTimeout), Duration::ZERO)
    );
    let patient = scene.ask(Wish::of(HEAD, secs(30))).await.unwrap();
    assert_eq!((patient.result, patient.took), (Ok(()), secs(25)));
    assert_eq!(scene.most_inits_at_once(), 1);
    // One line for the time that was up, whoever comes.
    assert_eq!(scene.lines.warnings_and_errors(), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_late_failure_is_reported_and_frees_the_way() {
    let scene = abandoned(Init::Raises { after: secs(60) }).await;
    sleep(secs(31)).await;
    assert_eq!(scene.session.state(), State::Failed);
    let last = scene.session.last_error().unwrap();
    assert_eq!(last.kind, Kind::InitFailed);
    assert!(!scene.session.holds_ray());
    scene.connected(HEAD).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_success_after_close_is_disconnected_on_arrival() {
    let scene = abandoned(LATE).await;
    assert!(scene.close().await);
    assert_eq!(scene.session.last_error(), None);
    sleep(secs(31)).await;
    assert_eq!(scene.times_of("shutdown"), [60_000]);
    assert!(!scene.session.is_connected() && !scene.ray_is_up());
    assert_eq!(scene.session.state(), State::Idle);
    assert!(!scene.session.holds_ray());
}

#[tokio::test(start_paused = true)]
async fn the_same_target_again_after_close_waits_for_the_arrival() {
    let scene = abandoned(LATE).await;
    assert!(scene.close().await);
    let again = scene.ask(Wish::of(HEAD, secs(40))).await.unwrap();
    assert_eq!(again.result, Ok(()));
    assert_eq!(scene.times_of("shutdown"), [60_000]);
    assert_eq!(scene.times_of(&format!("init {HEAD}")), [0, 60_000]);
    assert_eq!(scene.most_inits_at_once(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_success_for_another_target_is_disconnected_on_arrival() {
    let scene = abandoned(LATE).await;
    let other = scene.ask(Wish::of(OTHER, secs(40))).await.unwrap();
    assert_eq!(other.result, Ok(()));
    assert_eq!(scene.times_of("shutdown"), [60_000]);
    assert_eq!(scene.times_of(&format!("init {OTHER}")), [60_000]);
    assert_eq!(scene.session.connection().unwrap().info.address, OTHER);
    assert_eq!(scene.most_inits_at_once(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_target_does_not_end_a_ray_init_in_its_time() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.then_init(Init::Connects { after: secs(20) });
    let first = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    let other = scene.ask(Wish::of(OTHER, secs(30)));
    assert_eq!(first.await.unwrap().result, Ok(()));
    // One process has one connection.
    assert_eq!(other.await.unwrap().result, Ok(()));
    assert_eq!(scene.session.connection().unwrap().info.address, HEAD);
}

#[tokio::test(start_paused = true)]
async fn callers_who_all_left_are_no_reason_to_refuse_a_success() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.then_init(Init::Connects { after: secs(5) });
    let caller = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    caller.abort();
    sleep(secs(5)).await;
    assert!(scene.session.is_connected());
}

#[tokio::test(start_paused = true)]
async fn a_longer_timeout_of_the_caller_covers_ray_init() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.up("other:10001");
    scene.then_init(LATE);
    let patient = scene.ask(Wish::of(HEAD, secs(90)));
    let usual = scene.ask(Wish::of(HEAD, secs(5)));
    let usual = usual.await.unwrap();
    assert_eq!((usual.kind(), usual.took), (Some(Kind::InitTimeout), INIT));
    // Somebody waits for it: it is not given up for another target.
    let other = scene.ask(Wish::of(OTHER, secs(5))).await.unwrap();
    assert_eq!(other.kind(), Some(Kind::InitTimeout));
    let patient = patient.await.unwrap();
    assert_eq!((patient.result, patient.took), (Ok(()), secs(60)));
    assert_eq!(scene.most_inits_at_once(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_never_starts_is_named() {
    let scene = Scene::new();
    scene.set("head:10001", Duration::ZERO, Server::RayletStarting);
    scene.then_init(LATE);
    let answer = scene.ask(Wish::of(HEAD, secs(5))).await.unwrap();
    let error = answer.result.unwrap_err();
    assert_eq!(error.kind, Kind::InitTimeout);
    assert!(error.message.contains("waits for a node"), "{error}");
}
