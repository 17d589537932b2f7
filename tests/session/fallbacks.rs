//! Other addresses that may stand in.

use std::time::Duration;

use seedcore_ray::error::Kind;

use crate::scene::{HEAD, Scene, Server, Wish, millis, secs};

const FIRST: &str = "ray://first:10001";
const SECOND: &str = "ray://second:10001";

#[tokio::test(start_paused = true)]
async fn the_address_itself_comes_first() {
    let scene = Scene::with_fallbacks(&[FIRST]);
    scene.set("head:10001", Duration::ZERO, Server::Slow(secs(1)));
    scene.up("first:10001");
    scene.connected(HEAD).await;
    assert_eq!(scene.count("probe first:10001"), 0);
    assert_eq!(scene.session.connection().unwrap().info.address, HEAD);
    assert_eq!(scene.session.connection().unwrap().info.instead_of, None);
}

#[tokio::test(start_paused = true)]
async fn priority_comes_before_speed() {
    let scene = Scene::with_fallbacks(&[FIRST, SECOND]);
    scene.set("first:10001", Duration::ZERO, Server::Slow(secs(1)));
    scene.up("second:10001");
    scene.connected(HEAD).await;
    assert_eq!(scene.session.connection().unwrap().info.address, FIRST);
    // Side by side, in the meantime.
    assert_eq!(scene.times_of("probe second:10001"), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_lower_priority_stands_in_as_soon_as_the_higher_have_failed() {
    let scene = Scene::with_fallbacks(&[FIRST, SECOND]);
    scene.set("second:10001", Duration::ZERO, Server::Slow(millis(100)));
    scene.connected(HEAD).await;
    let connection = scene.session.connection().unwrap();
    let live = &connection.info;
    assert_eq!(live.address, SECOND);
    assert_eq!(live.instead_of.as_ref().unwrap().cause.kind, Kind::Refused);
    assert_eq!(scene.times_of(&format!("init {SECOND}")), [100]);
}

#[tokio::test(start_paused = true)]
async fn the_cause_reported_is_that_of_the_address() {
    let scene = Scene::with_fallbacks(&[FIRST]);
    scene.set("head:10001", Duration::ZERO, Server::Fails(Kind::Dns));
    scene.set("first:10001", Duration::ZERO, Server::Fails(Kind::NotRay));
    let answer = scene.ask(Wish::of(HEAD, secs(3))).await.unwrap();
    let error = answer.result.unwrap_err();
    assert_eq!(
        (error.kind, error.address.as_str()),
        (Kind::Dns, "head:10001")
    );
}

#[tokio::test(start_paused = true)]
async fn what_time_cannot_cure_has_no_fallback() {
    let scene = Scene::with_fallbacks(&[FIRST]);
    scene.set("head:10001", Duration::ZERO, Server::Fails(Kind::Auth));
    scene.up("first:10001");
    let answer = scene.ask(Wish::of(HEAD, secs(30))).await.unwrap();
    assert_eq!(answer.kind(), Some(Kind::Auth));
    assert_eq!(scene.count("probe first:10001"), 0);
}

#[tokio::test(start_paused = true)]
async fn no_local_ray_has_fallbacks() {
    let scene = Scene::with_fallbacks(&[FIRST]);
    scene.up("first:10001");
    scene.connected("auto").await;
    assert_eq!(scene.session.connection().unwrap().info.address, FIRST);
}

#[tokio::test(start_paused = true)]
async fn fallbacks_are_left_alone_for_two_seconds() {
    for kind in [Kind::Refused, Kind::Dns, Kind::NotReady] {
        let scene = Scene::with_fallbacks(&[FIRST]);
        scene.set("head:10001", Duration::ZERO, Server::Fails(kind));
        let answer = scene.ask(Wish::of(HEAD, secs(9))).await.unwrap();
        assert_eq!(answer.kind(), Some(kind));
        let times = scene.times_of("probe first:10001");
        assert_eq!(times, [0, 2_000, 4_000, 6_000, 8_000], "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_in_a_hurry_do_not_hurry_the_fallbacks() {
    let scene = Scene::with_fallbacks(&[FIRST]);
    let patient = scene.ask(Wish::of(HEAD, secs(30)));
    for _ in 0..5 {
        let answer = scene.ask(Wish::of(HEAD, Duration::ZERO)).await.unwrap();
        assert_eq!(answer.kind(), Some(Kind::Refused));
        tokio::time::sleep(millis(100)).await;
    }
    assert_eq!(scene.times_of("probe first:10001"), [0]);
    patient.abort();
}
