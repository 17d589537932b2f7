//! `force_reinit`.

use std::time::Duration;

use seedcore_ray::error::Kind;
use seedcore_ray::session::{Joined, ShutdownStep, State};
use tokio::time::sleep;

use crate::scene::{HEAD, Init, OTHER, Scene, Server, Wish, foreign, secs};

#[tokio::test(start_paused = true)]
async fn a_live_connection_is_replaced() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.up("other:10001");
    scene.connected(HEAD).await;
    let answer = scene.ask(Wish::of(OTHER, secs(30)).forced()).await.unwrap();
    assert_eq!(answer.result, Ok(()));
    assert_eq!(scene.session.connection().unwrap().info.address, OTHER);
    assert_eq!(scene.count("shutdown"), 1);
    assert_eq!(scene.session.generation(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_sweep_keeps_the_live_connection() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.connected(HEAD).await;
    let forced = scene.ask(Wish::of(OTHER, secs(2)).forced());
    sleep(secs(1)).await;
    // Meanwhile everything goes on as before.
    assert_eq!(scene.session.state(), State::Connected);
    scene.connected(HEAD).await;
    let answer = forced.await.unwrap();
    assert_eq!(answer.kind(), Some(Kind::Refused));
    assert_eq!(scene.session.connection().unwrap().info.address, HEAD);
    assert!(scene.session.is_connected());
    assert_eq!(scene.count("shutdown"), 0);
    assert_eq!(scene.session.last_error(), answer.result.err());
}

#[tokio::test(start_paused = true)]
async fn callers_wait_while_it_is_replaced() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.connected(HEAD).await;
    scene.then_init(Init::Connects { after: secs(5) });
    let forced = scene.ask(Wish::of(HEAD, secs(30)).forced());
    sleep(secs(1)).await;
    assert_eq!(scene.session.state(), State::Connecting);
    let other = scene.ask(Wish::of(HEAD, secs(30)));
    assert_eq!(forced.await.unwrap().result, Ok(()));
    assert_eq!(other.await.unwrap().took, secs(4));
    assert_eq!(scene.most_inits_at_once(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_at_once_share_one_replacement() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.connected(HEAD).await;
    let forced = [0, 1].map(|_| scene.ask(Wish::of(HEAD, secs(30)).forced()));
    for caller in forced {
        assert_eq!(caller.await.unwrap().result, Ok(()));
    }
    assert_eq!(scene.count("shutdown"), 1);
    assert_eq!(scene.session.generation(), 2);
}

#[tokio::test(start_paused = true)]
async fn to_two_targets_one_after_the_other() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.up("other:10001");
    scene.connected(HEAD).await;
    scene.then_init(Init::Connects { after: secs(3) });
    let first = scene.ask(Wish::of(HEAD, secs(30)).forced());
    let second = scene.ask(Wish::of(OTHER, secs(30)).forced());
    assert_eq!(first.await.unwrap().result, Ok(()));
    assert_eq!(second.await.unwrap().result, Ok(()));
    assert_eq!(scene.session.connection().unwrap().info.address, OTHER);
    assert_eq!(scene.count("shutdown"), 2);
    assert_eq!(scene.most_inits_at_once(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_would_keep_what_is_live_does_not_serve() {
    let scene = Scene::new();
    let flight = scene.flight(Wish::of(HEAD, secs(30)));
    let _leads = scene.join(&flight, secs(30));
    assert!(scene.session.begin_init(&flight));
    // Somebody else has connected first, and that is about to be used.
    scene.adopt(foreign());
    let forced = scene.flight(Wish::of(HEAD, secs(30)).forced());
    let joined = scene.join(&forced, secs(30));
    assert!(matches!(joined, Joined::After(_)));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_connects_does_not_end_it() {
    let scene = Scene::new();
    scene.set("head:10001", secs(2), Server::Up);
    let forced = scene.ask(Wish::of(HEAD, secs(30)).forced());
    sleep(secs(1)).await;
    scene.adopt(foreign());
    assert_eq!(forced.await.unwrap().result, Ok(()));
    assert_eq!(scene.session.connection().unwrap().info.address, HEAD);
    assert_eq!(scene.count("shutdown"), 1);
}

#[tokio::test(start_paused = true)]
async fn close_while_the_sweep_runs_closes_what_is_live() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.connected(HEAD).await;
    scene.set("other:10001", Duration::ZERO, Server::Silent);
    let forced = scene.ask(Wish::of(OTHER, secs(30)).forced());
    sleep(secs(1)).await;
    assert!(scene.close().await);
    assert_eq!(forced.await.unwrap().kind(), Some(Kind::Cancelled));
    assert_eq!(scene.session.state(), State::Idle);
    assert_eq!(scene.count("shutdown"), 1);
}

#[tokio::test(start_paused = true)]
async fn close_before_the_live_one_is_dropped_does_not_leave_it_behind() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.connected(HEAD).await;
    let flight = scene.flight(Wish::of(HEAD, secs(30)).forced());
    let _joined = scene.join(&flight, secs(30));
    let _ = flight.step().await;
    assert!(scene.session.begin_init(&flight));
    let ShutdownStep::Wait(is_over) = scene.session.shutdown().next(true) else {
        panic!("the flight may still refuse, and keep what is live");
    };
    scene.session.failed(&flight, &flight.cancelled());
    flight.finish(Err(flight.cancelled()));
    assert!(is_over.await);
    assert_eq!(scene.shutdown_step(true), "run");
}
