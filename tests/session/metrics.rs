//! What is counted, and how often.

use std::time::Duration;

use seedcore_ray::breaker::Position;
use seedcore_ray::error::Kind;
use seedcore_ray::events::What;
use seedcore_ray::exposition::{Sample, families};
use seedcore_ray::health::Plan;
use seedcore_ray::session::{Session, State};
use tokio::time::sleep;

use crate::scene::{HEAD, Init, Scene, Server, Wish, failure, millis, secs, target};

/// The samples of one name that are not zero: their labels' values, and the number.
fn counted(session: &Session, name: &str) -> Vec<(String, f64)> {
    let families = families(session, &[]);
    let named = families.iter().flat_map(|family| {
        let samples = family.samples.iter();
        samples.filter(move |sample| format!("{}{}", family.name, sample.suffix) == name)
    });
    let labels = |sample: &Sample| {
        let values = sample.labels.iter().map(|(_, value)| value.as_ref());
        values.collect::<Vec<_>>().join(" ")
    };
    let shown = named.map(|sample| (labels(sample), sample.value));
    shown.filter(|&(_, value)| value > 0.0).collect()
}

fn attempts(scene: &Scene) -> Vec<(String, f64)> {
    counted(&scene.session, "seedcore_ray_connect_attempts_total")
}

fn one(labels: &str) -> Vec<(String, f64)> {
    vec![(labels.to_owned(), 1.0)]
}

#[tokio::test(start_paused = true)]
async fn callers_who_share_a_connect_count_once() {
    let scene = Scene::new();
    scene.set("head:10001", Duration::ZERO, Server::Slow(secs(1)));
    let callers: Vec<_> = (0..10)
        .map(|_| scene.ask(Wish::of(HEAD, secs(30))))
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().result, Ok(()));
    }
    assert_eq!(attempts(&scene), one("connected none"));
    // A second for the look, 10 ms for ray.init.
    let name = "seedcore_ray_connect_duration_seconds";
    assert_eq!(
        counted(&scene.session, &format!("{name}_count")),
        one("connected")
    );
    let buckets = counted(&scene.session, &format!("{name}_bucket"));
    assert_eq!(buckets.first().unwrap().0, "connected 2.5");
    let sum = counted(&scene.session, &format!("{name}_sum"));
    assert!((sum[0].1 - 1.01).abs() < 0.005, "{sum:?}");
    let probes = counted(&scene.session, "seedcore_ray_probe_duration_seconds_count");
    assert_eq!(probes, one("answered"));
}

#[tokio::test(start_paused = true)]
async fn each_sweep_is_a_probe_and_the_connect_fails_once() {
    let scene = Scene::new();
    scene.set("head:10001", Duration::ZERO, Server::Fails(Kind::NotReady));
    let answer = scene.ask(Wish::of(HEAD, secs(2))).await.unwrap();
    let sweeps = answer.result.unwrap_err().attempts;
    assert!(sweeps > 1);
    assert_eq!(attempts(&scene), one("failed not_ready"));
    let probes = counted(&scene.session, "seedcore_ray_probe_duration_seconds_count");
    assert_eq!(probes, [("failed".to_owned(), f64::from(sweeps))]);
    assert!(
        counted(
            &scene.session,
            "seedcore_ray_last_success_timestamp_seconds"
        )
        .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_was_called_off_is_no_failure_and_takes_no_time() {
    let scene = Scene::new();
    let caller = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    assert!(scene.close().await);
    assert_eq!(caller.await.unwrap().kind(), Some(Kind::Cancelled));
    assert_eq!(attempts(&scene), one("cancelled cancelled"));
    let times = counted(
        &scene.session,
        "seedcore_ray_connect_duration_seconds_count",
    );
    assert!(times.is_empty(), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connect_given_up_in_ray_init_counts_again_only_when_it_succeeds() {
    for (late, then) in [
        (Init::Raises { after: secs(60) }, vec![]),
        (Init::Connects { after: secs(60) }, one("connected none")),
    ] {
        let scene = Scene::new();
        scene.up("head:10001");
        scene.then_init(late);
        let answer = scene.ask(Wish::of(HEAD, secs(5))).await.unwrap();
        assert_eq!(answer.kind(), Some(Kind::InitTimeout));
        assert_eq!(attempts(&scene), one("failed init_timeout"));
        sleep(secs(60)).await;
        assert_eq!(
            attempts(&scene),
            [then, one("failed init_timeout")].concat()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_replaced_is_a_loss_and_then_a_reconnect() {
    let scene = Scene::new();
    let ups_and_downs = || {
        let session = &scene.session;
        let losses = counted(session, "seedcore_ray_connection_losses_total");
        (losses, counted(session, "seedcore_ray_reconnects_total"))
    };
    scene.watch(Plan::every(secs(5)));
    scene.up("head:10001");
    scene.connected(HEAD).await;
    assert!(scene.close().await);
    scene.connected(HEAD).await;
    assert_eq!(ups_and_downs(), (vec![], vec![]), "by our own doing");
    scene.replaced(scene.at(), 1);
    scene.until(What::Lost).await;
    assert_eq!(ups_and_downs(), (one(""), vec![]));
    let state = counted(&scene.session, "seedcore_ray_connection_state");
    assert_eq!(state, one("lost"));
    scene.until(What::Reconnected).await;
    assert_eq!(ups_and_downs(), (one(""), one("")));
    assert_eq!(attempts(&scene), [("connected none".to_owned(), 3.0)]);
    let generation = counted(&scene.session, "seedcore_ray_generation");
    assert_eq!(generation, [(String::new(), 3.0)]);
}

#[tokio::test(start_paused = true)]
async fn exactly_one_state_holds() {
    let scene = Scene::new();
    let holds = |state: State| {
        let states = counted(&scene.session, "seedcore_ray_connection_state");
        assert_eq!(states, one(state.as_str()));
    };
    holds(State::Idle);
    let caller = scene.ask(Wish::of(HEAD, secs(1)));
    sleep(millis(500)).await;
    holds(State::Connecting);
    caller.await.unwrap().result.unwrap_err();
    holds(State::Failed);
    scene.up("head:10001");
    scene.connected(HEAD).await;
    holds(State::Connected);
}

#[tokio::test(start_paused = true)]
async fn the_breaker_shows_the_worst_of_its_circuits() {
    let session = Session::default();
    let reset = secs(5);
    let failed = |address| {
        session
            .circuits
            .failed(&target(address), &failure(Kind::Refused, address), reset);
    };
    assert_eq!(session.circuits.position(), Position::Closed);
    failed(HEAD);
    assert_eq!(session.circuits.position(), Position::Open);
    sleep(reset).await;
    assert_eq!(session.circuits.position(), Position::HalfOpen);
    let _ = session.circuits.admit(&target(HEAD));
    assert_eq!(
        session.circuits.position(),
        Position::HalfOpen,
        "one probes"
    );
    failed(crate::scene::OTHER);
    assert_eq!(session.circuits.position(), Position::Open);
    sleep(reset).await;
    let breaker = counted(&session, "seedcore_ray_breaker_state");
    assert_eq!(breaker, one("half_open"));
}

#[test]
fn what_is_answered_without_trying_is_no_attempt() {
    let session = Session::default();
    for _ in 0..3 {
        session.metrics.rejected(Kind::CircuitOpen);
    }
    let rejections = counted(&session, "seedcore_ray_rejections_total");
    assert_eq!(rejections, [("circuit_open".to_owned(), 3.0)]);
    assert!(counted(&session, "seedcore_ray_connect_attempts_total").is_empty());
}
