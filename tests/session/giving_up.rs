//! How often is looked again, and when not at all.

use std::time::Duration;

use seedcore_ray::error::Kind;
use tokio::time::sleep;

use crate::scene::{GRACE, HEAD, Scene, Server, Wish, millis, secs};

#[tokio::test(start_paused = true)]
async fn a_refused_port_is_poked_and_swept_every_two_seconds() {
    let scene = Scene::new();
    let answer = scene.ask(Wish::of(HEAD, secs(5))).await.unwrap();
    assert_eq!(answer.kind(), Some(Kind::Refused));
    let probes = scene.times_of("probe head:10001");
    assert_eq!(probes, [0, 2_000, 4_000]);
    let pokes = scene.times_of("poke head:10001");
    assert!(pokes.windows(2).all(|two| two[1] - two[0] >= 250));
    assert_eq!(pokes.len(), 8 + 8 + 3);
    assert_eq!(answer.result.unwrap_err().attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_opens_is_swept_at_the_next_poke() {
    let scene = Scene::new();
    scene.set("head:10001", millis(1_300), Server::Up);
    scene.connected(HEAD).await;
    assert_eq!(scene.times_of("probe head:10001"), [0, 1_500]);
    assert_eq!(scene.times_of(&format!("init {HEAD}")), [1_500]);
}

#[tokio::test(start_paused = true)]
async fn an_open_port_that_is_not_ready_is_swept_again() {
    let scene = Scene::new();
    scene.set("head:10001", Duration::ZERO, Server::Fails(Kind::NotReady));
    scene.set("head:10001", secs(1), Server::Up);
    scene.connected(HEAD).await;
    assert_eq!(scene.count("poke head:10001"), 0);
    assert_eq!(
        scene.times_of("probe head:10001"),
        [0, 250, 500, 750, 1_000]
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_once_a_second() {
    let scene = Scene::new();
    scene.set("head:10001", Duration::ZERO, Server::Fails(Kind::Dns));
    let answer = scene.ask(Wish::of(HEAD, millis(3_500))).await.unwrap();
    assert_eq!(answer.kind(), Some(Kind::Dns));
    assert_eq!(scene.times_of("probe head:10001"), [0, 1_000, 2_000, 3_000]);
    assert_eq!(answer.took, millis(3_500));
    assert_eq!(scene.count("poke head:10001"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_time_cannot_cure_fails_at_once() {
    for kind in [
        Kind::WrongPort,
        Kind::NotRay,
        Kind::Tls,
        Kind::Auth,
        Kind::VersionMismatch,
    ] {
        let scene = Scene::new();
        scene.set("head:10001", Duration::ZERO, Server::Fails(kind));
        let answer = scene.ask(Wish::of(HEAD, secs(30))).await.unwrap();
        assert_eq!((answer.kind(), answer.took), (Some(kind), Duration::ZERO));
        assert_eq!(scene.count("probe head:10001"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_turns_permanent_ends_the_wait() {
    let scene = Scene::new();
    scene.set("head:10001", secs(3), Server::Fails(Kind::NotRay));
    let answer = scene.ask(Wish::of(HEAD, secs(30))).await.unwrap();
    assert_eq!(answer.kind(), Some(Kind::NotRay));
    assert!(answer.took <= millis(3_250), "{:?}", answer.took);
}

#[tokio::test(start_paused = true)]
async fn no_local_ray_is_answered_at_once() {
    let scene = Scene::new();
    let answer = scene.ask(Wish::of("auto", secs(30))).await.unwrap();
    assert_eq!(
        (answer.kind(), answer.took),
        (Some(Kind::NoLocalRay), Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn the_stubborn_wait_for_a_local_ray() {
    let scene = Scene::new();
    scene.up("127.0.0.1:6379");
    let caller = scene.ask(Wish::of("auto", secs(5)).wait_for_local());
    sleep(secs(2)).await;
    scene.set_local(Some("127.0.0.1:6379"));
    let answer = caller.await.unwrap();
    assert_eq!(answer.result, Ok(()));
    assert!(answer.took <= millis(2_300), "{:?}", answer.took);
}

#[tokio::test(start_paused = true)]
async fn others_do_not_wait_with_the_stubborn() {
    let scene = Scene::new();
    let wait_for_local = scene.ask(Wish::of("auto", secs(5)).wait_for_local());
    sleep(secs(1)).await;
    let other = scene.ask(Wish::of("auto", secs(30))).await.unwrap();
    assert_eq!(other.kind(), Some(Kind::NoLocalRay));
    assert!(other.took <= GRACE, "{:?}", other.took);
    let wait_for_local = wait_for_local.await.unwrap();
    assert_eq!(
        (wait_for_local.kind(), wait_for_local.took),
        (Some(Kind::NoLocalRay), secs(5))
    );
}

#[tokio::test(start_paused = true)]
async fn the_stubborn_keep_an_ordinary_flight_going() {
    let scene = Scene::new();
    scene.set_local(Some("127.0.0.1:6379"));
    scene.set("127.0.0.1:6379", Duration::ZERO, Server::Slow(secs(1)));
    scene.set("127.0.0.1:6379", millis(1), Server::Up);
    let ordinary = scene.ask(Wish::of("auto", secs(30)));
    scene.set_local(None);
    let wait_for_local = scene.ask(Wish::of("auto", secs(30)).wait_for_local());
    assert_eq!(ordinary.await.unwrap().kind(), Some(Kind::NoLocalRay));
    scene.set_local(Some("127.0.0.1:6379"));
    assert_eq!(wait_for_local.await.unwrap().result, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_ray_init_raises_has_no_second_try() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.then_init(crate::scene::Init::Raises { after: secs(1) });
    let answer = scene.ask(Wish::of(HEAD, secs(30))).await.unwrap();
    assert_eq!(answer.kind(), Some(Kind::InitFailed));
    assert_eq!(scene.count(&format!("init {HEAD}")), 1);
    // The next caller tries for itself.
    scene.connected(HEAD).await;
}

#[tokio::test(start_paused = true)]
async fn sweeps_are_counted_and_remembered() {
    let scene = Scene::new();
    let flight = scene.flight(Wish::of(HEAD, Duration::ZERO));
    assert!(flight.last_probe().is_none());
    let waiter = flight.join(seedcore_ray::flight::Patience::of(Duration::ZERO));
    let _ = flight.step().await;
    let probe = flight.last_probe().unwrap();
    assert_eq!(probe.error.map(|error| error.kind), Some(Kind::Refused));
    scene.up("head:10001");
    let _ = flight.step().await;
    assert!(flight.last_probe().unwrap().error.is_none());
    assert_eq!(flight.sweeps(), 2);
    drop(waiter);
}

#[tokio::test(start_paused = true)]
async fn without_a_node_here_ray_init_is_not_called() {
    let scene = Scene::new();
    scene.set("head:10001", Duration::ZERO, Server::WithoutRaylet);
    let answer = scene.ask(Wish::of(HEAD, secs(30))).await.unwrap();
    assert_eq!(
        (answer.kind(), answer.took),
        (Some(Kind::NoLocalNode), Duration::ZERO)
    );
    assert_eq!(scene.count(&format!("init {HEAD}")), 0);
    let stubborn = scene.ask(Wish::of(HEAD, secs(30)).wait_for_local());
    sleep(secs(2)).await;
    scene.up("head:10001");
    assert_eq!(stubborn.await.unwrap().result, Ok(()));
}
