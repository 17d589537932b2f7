//! `shutdown_ray()` and the end of the process, at each point of a connect.

use seedcore_ray::error::Kind;
use seedcore_ray::flight::Patience;
use seedcore_ray::session::{ShutdownStep, State};
use tokio::time::sleep;

use crate::scene::{GRACE, HEAD, Init, Scene, Wish, connection, foreign, millis, secs};

#[tokio::test(start_paused = true)]
async fn close_when_nothing_is_held() {
    let scene = Scene::new();
    assert_eq!(scene.shutdown_step(false), "nothing");
    assert_eq!(scene.session.state(), State::Idle);
}

#[tokio::test(start_paused = true)]
async fn close_while_connected() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.connected(HEAD).await;
    assert!(scene.close().await);
    assert_eq!(scene.session.state(), State::Idle);
    assert!(!scene.session.is_connected() && scene.session.connection().is_none());
    scene.connected(HEAD).await;
    assert_eq!(scene.session.generation(), 2);
}

#[tokio::test(start_paused = true)]
async fn close_a_connection_that_somebody_else_made() {
    let scene = Scene::new();
    assert_eq!(scene.shutdown_step(true), "run");
    scene.session.closed(None);
    assert_eq!(scene.session.state(), State::Idle);
}

#[tokio::test(start_paused = true)]
async fn close_forgets_the_last_error() {
    let scene = Scene::new();
    let answer = scene.ask(Wish::of(HEAD, secs(1))).await.unwrap();
    assert_eq!(scene.session.last_error(), answer.result.err());
    assert_eq!(scene.session.state(), State::Failed);
    assert!(scene.close().await);
    assert_eq!(scene.session.last_error(), None);
    assert_eq!(scene.session.state(), State::Idle);
}

#[tokio::test(start_paused = true)]
async fn close_while_probing_ends_the_wait_at_once() {
    let scene = Scene::new();
    let caller = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(millis(1_100)).await;
    assert!(scene.close().await);
    let answer = caller.await.unwrap();
    assert_eq!(
        (answer.kind(), answer.took),
        (Some(Kind::Cancelled), millis(1_100))
    );
    assert_eq!(scene.session.last_error(), None);
    assert_eq!(scene.session.state(), State::Idle);
    assert_eq!(scene.lines.warnings_and_errors(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn close_while_ray_init_runs_does_not_wait_for_it() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.then_init(Init::Connects { after: secs(10) });
    let caller = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    assert_eq!(scene.shutdown_step(false), "on arrival");
    assert_eq!(scene.shutdown_step(false), "on arrival");
    assert_eq!(caller.await.unwrap().kind(), Some(Kind::Cancelled));
    assert_eq!(scene.times_of("shutdown"), [10_000]);
    assert!(!scene.ray_is_up());
}

#[tokio::test(start_paused = true)]
async fn close_between_the_sweep_and_ray_init() {
    let scene = Scene::new();
    scene.up("head:10001");
    let (flight, _waiter) = scene.lead(secs(30));
    let step = flight.step().await;
    assert!(matches!(step, seedcore_ray::flight::Step::Init(_)));
    assert_eq!(scene.shutdown_step(false), "wait");
    assert!(!scene.session.begin_init(&flight));
    assert!(!scene.session.is_changing());
}

#[tokio::test(start_paused = true)]
async fn two_closes_share_one_shutdown() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.connected(HEAD).await;
    assert_eq!(scene.shutdown_step(true), "run");
    let ShutdownStep::Wait(is_over) = scene.session.shutdown().next(true) else {
        panic!("a shutdown is running");
    };
    assert!(!is_over.await);
    let ShutdownStep::Wait(is_over) = scene.session.shutdown().next(true) else {
        panic!("it is still running");
    };
    scene.session.closed(None);
    assert!(is_over.await);
    assert_eq!(scene.shutdown_step(false), "nothing");
}

#[tokio::test(start_paused = true)]
async fn a_connect_waits_for_the_shutdown_and_adopts_nothing_of_it() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.connected(HEAD).await;
    assert_eq!(scene.shutdown_step(true), "run");
    assert!(scene.session.is_changing());
    // Ray still says that it is connected.
    let _ = scene.session.adopt(connection(foreign()), None);
    assert!(!scene.session.is_connected());
    let caller = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(2)).await;
    assert!(!caller.is_finished());
    scene.lose();
    scene.session.closed(None);
    let answer = caller.await.unwrap();
    assert_eq!(answer.result, Ok(()));
    assert_eq!(answer.took, millis(2_010));
}

#[tokio::test(start_paused = true)]
async fn closed_ends_nothing_but_a_shutdown() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.then_init(Init::Connects { after: secs(3) });
    let caller = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    scene.session.closed(None);
    assert_eq!(caller.await.unwrap().result, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn exit_while_probing_lets_every_caller_go() {
    let scene = Scene::new();
    let callers = [1, 30].map(|s| scene.ask(Wish::of(HEAD, secs(s))));
    sleep(millis(300)).await;
    scene.session.exit();
    for caller in callers {
        let answer = caller.await.unwrap();
        assert_eq!(
            (answer.kind(), answer.took),
            (Some(Kind::Cancelled), millis(300))
        );
    }
    assert_eq!(scene.count(&format!("init {HEAD}")), 0);
}

#[tokio::test(start_paused = true)]
async fn exit_while_ray_init_runs_lets_every_caller_go_and_keeps_nothing() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.then_init(Init::Connects { after: secs(10) });
    let caller = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    scene.session.exit();
    let answer = caller.await.unwrap();
    assert_eq!(
        (answer.kind(), answer.took),
        (Some(Kind::Cancelled), secs(1))
    );
    sleep(secs(10)).await;
    assert!(!scene.session.is_connected() && !scene.ray_is_up());
}

#[tokio::test(start_paused = true)]
async fn exit_wakes_those_who_wait_for_their_turn() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.connected(HEAD).await;
    assert_eq!(scene.shutdown_step(true), "run");
    let caller = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    scene.session.exit();
    let answer = caller.await.unwrap();
    assert_eq!(
        (answer.kind(), answer.took),
        (Some(Kind::Cancelled), secs(1))
    );
}

#[tokio::test(start_paused = true)]
async fn after_the_exit_nothing_begins_and_nobody_spins() {
    let scene = Scene::new();
    let (flight, _waiter) = scene.lead(secs(30));
    scene.session.exit();
    let late = scene.ask(Wish::of(HEAD, secs(30))).await.unwrap();
    assert_eq!(late.kind(), Some(Kind::Cancelled));
    // The flight's own thread has not noticed yet: there is nothing to wait for.
    assert_eq!(scene.shutdown_step(false), "nothing");
    assert!(!scene.session.begin_init(&flight));
}

#[tokio::test(start_paused = true)]
async fn what_has_landed_does_not_take_off_again() {
    let scene = Scene::new();
    let flight = scene.flight(Wish::of(HEAD, secs(30)));
    let mut waiter = flight.join(Patience::of(secs(30))).unwrap();
    flight.finish(Err(flight.cancelled()));
    let _ = flight.step().await;
    assert!(!flight.begin_init());
    flight.finish(Ok(()));
    assert_eq!(waiter.wait().await.unwrap_err().kind, Kind::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_was_never_launched_cannot_begin_ray_init() {
    // Ctrl-C while its thread was being started: given up, and the thread runs all the same.
    let scene = Scene::new();
    scene.up("head:10001");
    let (flight, waiter) = scene.lead(secs(30));
    scene.session.failed(&flight, &flight.cancelled());
    scene.connected(HEAD).await;
    scene.clone().fly(flight.clone()).await;
    drop(waiter);
    assert_eq!(scene.count(&format!("init {HEAD}")), 1);
    assert!(scene.session.is_connected());
    assert!(!scene.session.is_changing());
}

#[tokio::test(start_paused = true)]
async fn nobody_left_ends_the_flight() {
    let scene = Scene::new();
    let callers = [10, 30].map(|s| scene.ask(Wish::of(HEAD, secs(s))));
    sleep(secs(1)).await;
    for caller in callers {
        caller.abort();
    }
    sleep(GRACE).await;
    let looks = scene.count("poke head:10001");
    assert_eq!(scene.session.state(), State::Idle);
    sleep(secs(5)).await;
    assert_eq!(scene.count("poke head:10001"), looks);
    assert_eq!(scene.lines.warnings_and_errors(), (1, 0));
}
