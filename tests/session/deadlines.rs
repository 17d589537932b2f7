//! Nobody waits longer than they said, and the flight lasts as long as the most patient.

use std::time::Duration;

use seedcore_ray::error::Kind;
use seedcore_ray::flight::Patience;
use tokio::time::{Instant, sleep};

use crate::scene::{GRACE, HEAD, Init, PROBE, Scene, Server, Wish, millis, secs};

#[tokio::test(start_paused = true)]
async fn each_gets_an_answer_when_its_own_time_is_up() {
    let scene = Scene::new();
    let callers = [1, 5, 12, 30].map(|s| (secs(s), scene.ask(Wish::of(HEAD, secs(s)))));
    for (timeout, caller) in callers {
        let answer = caller.await.unwrap();
        assert_eq!(answer.kind(), Some(Kind::Refused));
        assert!(answer.took >= timeout, "{:?}", answer.took);
        assert!(answer.took <= timeout + GRACE, "{:?}", answer.took);
    }
}

#[tokio::test(start_paused = true)]
async fn more_patience_outlives_the_leader() {
    let scene = Scene::new();
    scene.set("head:10001", secs(10), Server::Up);
    let leader = scene.ask(Wish::of(HEAD, secs(3)));
    sleep(secs(1)).await;
    let patient = scene.ask(Wish::of(HEAD, secs(30)));
    let leader = leader.await.unwrap();
    assert_eq!((leader.kind(), leader.took), (Some(Kind::Refused), secs(3)));
    assert_eq!(patient.await.unwrap().result, Ok(()));
    assert_eq!(scene.count(&format!("init {HEAD}")), 1);
    // One flight: never two pokes at a time.
    let pokes = scene.times_of("poke head:10001");
    assert!(pokes.windows(2).all(|two| two[1] - two[0] >= 250));
}

#[tokio::test(start_paused = true)]
async fn zero_is_one_sweep() {
    let scene = Scene::new();
    let answer = scene.ask(Wish::of(HEAD, Duration::ZERO)).await.unwrap();
    assert_eq!(answer.kind(), Some(Kind::Refused));
    assert_eq!(answer.result.unwrap_err().attempts, 1);
    assert_eq!(answer.took, Duration::ZERO);
    assert_eq!(scene.count("probe head:10001"), 1);
    assert_eq!(scene.count("poke head:10001"), 0);
}

#[tokio::test(start_paused = true)]
async fn one_sweep_of_a_silent_server_takes_one_probe() {
    let scene = Scene::new();
    scene.set("head:10001", Duration::ZERO, Server::Silent);
    let answer = scene.ask(Wish::of(HEAD, Duration::ZERO)).await.unwrap();
    assert_eq!((answer.kind(), answer.took), (Some(Kind::Timeout), PROBE));
}

#[tokio::test(start_paused = true)]
async fn one_sweep_joins_the_sweep_under_way() {
    let scene = Scene::new();
    scene.set("head:10001", Duration::ZERO, Server::Silent);
    let patient = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    let answer = scene.ask(Wish::of(HEAD, Duration::ZERO)).await.unwrap();
    assert_eq!((answer.kind(), answer.took), (Some(Kind::Timeout), secs(1)));
    patient.abort();
}

#[tokio::test(start_paused = true)]
async fn one_sweep_during_a_pause_looks_at_once() {
    for kind in [Kind::Refused, Kind::Dns] {
        let scene = Scene::new();
        scene.set("head:10001", Duration::ZERO, Server::Fails(kind));
        let patient = scene.ask(Wish::of(HEAD, secs(30)));
        sleep(millis(100)).await;
        let answer = scene.ask(Wish::of(HEAD, Duration::ZERO)).await.unwrap();
        assert_eq!((answer.kind(), answer.took), (Some(kind), Duration::ZERO));
        assert_eq!(scene.times_of("probe head:10001"), [0, 100]);
        patient.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn one_sweep_is_never_kept_by_a_slow_poke() {
    let scene = Scene::new();
    scene.set("head:10001", millis(100), Server::Slow(secs(10)));
    let patient = scene.ask(Wish::of(HEAD, secs(30)));
    // The poke of 250 ms hangs for two seconds.
    sleep(millis(300)).await;
    let answer = scene.ask(Wish::of(HEAD, Duration::ZERO)).await.unwrap();
    assert_eq!((answer.kind(), answer.took), (Some(Kind::Timeout), PROBE));
    patient.abort();
}

#[tokio::test(start_paused = true)]
async fn the_last_sweep_is_cut_to_the_time_that_is_left() {
    let scene = Scene::new();
    scene.set("head:10001", Duration::ZERO, Server::Silent);
    let answer = scene.ask(Wish::of(HEAD, secs(3))).await.unwrap();
    assert_eq!((answer.kind(), answer.took), (Some(Kind::Timeout), secs(3)));
}

#[tokio::test(start_paused = true)]
async fn fallbacks_fit_into_the_patience_too() {
    let scene = Scene::with_fallbacks(&["ray://stable:10001"]);
    scene.set("head:10001", Duration::ZERO, Server::Silent);
    scene.set("stable:10001", Duration::ZERO, Server::Slow(millis(300)));
    let answer = scene.ask(Wish::of(HEAD, secs(1))).await.unwrap();
    assert_eq!(answer.result, Ok(()));
    assert!(answer.took <= secs(1), "{:?}", answer.took);
}

#[tokio::test(start_paused = true)]
async fn one_sweep_with_fallbacks_takes_two_probes_at_most() {
    let scene = Scene::with_fallbacks(&["ray://stable:10001"]);
    for server in ["head:10001", "stable:10001"] {
        scene.set(server, Duration::ZERO, Server::Silent);
    }
    let answer = scene.ask(Wish::of(HEAD, Duration::ZERO)).await.unwrap();
    assert_eq!(
        (answer.kind(), answer.took),
        (Some(Kind::Timeout), PROBE * 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stuck_flight_holds_nobody() {
    // Nobody flies it: its thread does not get to run.
    for (timeout, callers) in [(secs(2), 3), (Duration::ZERO, 1)] {
        let scene = Scene::new();
        let flight = scene.flight(Wish::of(HEAD, timeout));
        let join = |_| flight.join(Patience::of(timeout)).unwrap();
        let mut waiters: Vec<_> = (0..callers).map(join).collect();
        let began = Instant::now();
        for waiter in &mut waiters {
            assert_eq!(waiter.wait().await.unwrap_err().kind, Kind::Timeout);
        }
        assert_eq!(began.elapsed(), PROBE + GRACE);
        drop(waiters);
        assert!(!flight.begin_init());
        assert_eq!(scene.lines.warnings_and_errors(), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn who_passes_the_sweep_waits_for_ray_init_whatever_its_patience() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.then_init(Init::Connects { after: secs(20) });
    let answer = scene.ask(Wish::of(HEAD, Duration::ZERO)).await.unwrap();
    assert_eq!((answer.result, answer.took), (Ok(()), secs(20)));
}

#[tokio::test(start_paused = true)]
async fn patience_without_end_does_not_overflow() {
    let scene = Scene::new();
    scene.set("head:10001", secs(3600), Server::Up);
    let answer = scene.ask(Wish::of(HEAD, Duration::MAX)).await.unwrap();
    assert_eq!(answer.result, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_wait_can_be_dropped_half_way_and_taken_up_again() {
    let scene = Scene::new();
    scene.set("head:10001", secs(5), Server::Up);
    let (flight, mut waiter) = scene.lead(secs(30));
    let flying = tokio::spawn(scene.clone().fly(flight));
    // As a blocked thread waits: in ticks, looking for signals in between.
    let tick = millis(50);
    let result = loop {
        if let Ok(result) = tokio::time::timeout(tick, waiter.wait()).await {
            break result;
        }
    };
    assert_eq!(result, Ok(()));
    flying.await.unwrap();
}
