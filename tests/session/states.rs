//! What the session says of itself.

use seedcore_ray::error::Kind;
use seedcore_ray::flight::Patience;
use seedcore_ray::session::{Joined, Session, State};
use tokio::time::sleep;

use crate::scene::{HEAD, Init, Scene, Wish, connection, failure, foreign, secs};

#[tokio::test(start_paused = true)]
async fn idle_connecting_connected() {
    let scene = Scene::new();
    assert_eq!(scene.session.state(), State::Idle);
    scene.set("head:10001", secs(1), crate::scene::Server::Up);
    scene.then_init(Init::Connects { after: secs(5) });
    let caller = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(crate::scene::millis(500)).await;
    assert_eq!(scene.session.state(), State::Connecting);
    assert!(!scene.session.is_changing() && !scene.session.holds_ray());
    sleep(secs(2)).await;
    assert_eq!(scene.session.state(), State::Connecting);
    assert!(scene.session.is_changing() && scene.session.holds_ray());
    assert!(!scene.session.is_connected());
    assert_eq!(caller.await.unwrap().result, Ok(()));
    assert_eq!(scene.session.state(), State::Connected);
    assert!(scene.session.is_connected() && !scene.session.is_changing());
    assert_eq!(scene.session.last_error(), None);
}

#[tokio::test(start_paused = true)]
async fn failed_then_connected() {
    let scene = Scene::new();
    let answer = scene.ask(Wish::of(HEAD, secs(1))).await.unwrap();
    assert_eq!(scene.session.state(), State::Failed);
    assert_eq!(scene.session.last_error(), answer.result.err());
    scene.up("head:10001");
    scene.connected(HEAD).await;
    assert_eq!(scene.session.state(), State::Connected);
    assert_eq!(scene.session.last_error(), None);
}

#[tokio::test(start_paused = true)]
async fn each_connection_is_a_generation() {
    let scene = Scene::new();
    scene.up("head:10001");
    for generation in 1..=3 {
        scene.connected(HEAD).await;
        scene.connected(HEAD).await;
        assert_eq!(scene.session.generation(), generation);
        scene.lose();
        assert_eq!(scene.session.state(), State::Idle);
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_else_connects_during_the_preflight() {
    let scene = Scene::new();
    let caller = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    scene.adopt(foreign());
    let answer = caller.await.unwrap();
    assert_eq!((answer.result, answer.took), (Ok(()), secs(1)));
    sleep(secs(30)).await;
    assert_eq!(scene.session.state(), State::Connected);
    assert_eq!(scene.session.last_error(), None);
    assert_eq!(scene.lines.warnings_and_errors(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn somebody_else_connects_right_before_ray_init() {
    let scene = Scene::new();
    let (flight, mut waiter) = scene.lead(secs(30));
    assert!(scene.session.begin_init(&flight));
    let _ = scene.session.adopt(connection(foreign()), Some(&flight));
    flight.finish(Ok(()));
    assert_eq!(waiter.wait().await, Ok(()));
    assert_eq!(scene.session.state(), State::Connected);
    assert!(!scene.session.is_changing());
}

#[tokio::test(start_paused = true)]
async fn a_forked_child_of_a_connected_process_refuses() {
    let scene = Scene::new();
    let child = Session::forked();
    assert!(child.is_forked() && child.holds_ray() && !child.is_connected());
    let flight = scene.flight(Wish::of(HEAD, secs(30)));
    let Joined::Refused(error) = child.join(
        &flight.probe_plan.target,
        false,
        Patience::of(secs(0)),
        || flight.clone(),
    ) else {
        panic!("Ray does not survive a fork");
    };
    assert_eq!((error.kind, error.address.as_str()), (Kind::Forked, HEAD));
    child.note_failure(&error);
    assert_eq!(child.state(), State::Failed);
}

#[test]
fn what_a_caller_was_told_is_the_last_error() {
    let session = Session::default();
    session.note_failure(&failure(Kind::Cancelled, HEAD));
    assert_eq!(session.last_error(), None);
    session.note_failure(&failure(Kind::Timeout, HEAD));
    assert_eq!(session.last_error().map(|e| e.kind), Some(Kind::Timeout));
    let _ = session.adopt(connection(foreign()), None);
    assert_eq!(session.last_error(), None);
    // Too late: connected by now.
    session.note_failure(&failure(Kind::Timeout, HEAD));
    assert_eq!(session.last_error(), None);
}

#[test]
fn a_warning_is_given_once_and_their_number_is_bounded() {
    let session = Session::default();
    assert!(session.once.is_first("a") && !session.once.is_first("a"));
    let given = (0..10_000).filter(|n| session.once.is_first(&n.to_string()));
    assert_eq!(given.count(), 255);
}

#[test]
fn the_last_look_is_remembered() {
    let session = Session::default();
    assert!(session.last_probe().is_none());
    session.probed(secs(1), Some(failure(Kind::Timeout, HEAD)));
    session.probed(secs(2), None);
    let last = session.last_probe().unwrap();
    assert_eq!((last.took, last.error), (secs(2), None));
}
