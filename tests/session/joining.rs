//! Many callers, one `ray.init`.

use seedcore_ray::error::Kind;
use seedcore_ray::session::Joined;
use tokio::time::sleep;

use crate::scene::{GRACE, HEAD, Init, OTHER, Scene, Server, Wish, millis, secs};

#[tokio::test(start_paused = true)]
async fn sixty_four_callers_share_one_flight() {
    let scene = Scene::new();
    scene.set("head:10001", secs(1), Server::Up);
    let callers: Vec<_> = (0..64)
        .map(|_| scene.ask(Wish::of(HEAD, secs(30))))
        .collect();
    for caller in callers {
        let answer = caller.await.unwrap();
        assert_eq!(answer.result, Ok(()));
        assert!(answer.took < millis(1_300), "{:?}", answer.took);
    }
    assert_eq!(scene.count(&format!("init {HEAD}")), 1);
    assert_eq!(scene.count("probe head:10001"), 2);
    assert_eq!(scene.session.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn callers_that_come_while_ray_init_runs_share_it_too() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.then_init(Init::Connects { after: secs(10) });
    let first = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(5)).await;
    let second = scene.ask(Wish::of(HEAD, secs(1)));
    assert_eq!(first.await.unwrap().result, Ok(()));
    // Its own deadline was for an answer; `ray.init` has a bound of its own.
    let second = second.await.unwrap();
    assert_eq!((second.result, second.took), (Ok(()), secs(5)));
    assert_eq!(scene.count(&format!("init {HEAD}")), 1);
}

#[tokio::test(start_paused = true)]
async fn another_target_waits_for_its_turn() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.then_init(Init::Raises { after: secs(3) });
    scene.up("other:10001");
    let first = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    let second = scene.ask(Wish::of(OTHER, secs(30)));
    assert_eq!(first.await.unwrap().kind(), Some(Kind::InitFailed));
    assert_eq!(second.await.unwrap().result, Ok(()));
    assert_eq!(scene.times_of(&format!("init {OTHER}")), [3_000]);
    assert_eq!(scene.most_inits_at_once(), 1);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_turn_ends_with_patience() {
    let scene = Scene::new();
    scene.up("head:10001");
    scene.then_init(Init::Connects { after: secs(20) });
    let first = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    let second = scene.ask(Wish::of(OTHER, secs(2))).await.unwrap();
    assert_eq!(second.kind(), Some(Kind::InitTimeout));
    assert_eq!(second.took, secs(2));
    assert_eq!(first.await.unwrap().result, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_gives_up_takes_nobody_in() {
    let scene = Scene::new();
    let (flight, waiter) = scene.lead(secs(1));
    while !matches!(flight.step().await, seedcore_ray::flight::Step::GiveUp(_)) {}
    // It has not said so yet; a caller with all its deadline must not get this old answer.
    let late = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(millis(1)).await;
    assert!(!late.is_finished());
    scene.up("head:10001");
    let cause = crate::scene::failure(Kind::Refused, HEAD);
    scene.session.failed(&flight, &cause);
    flight.finish(Err(cause));
    assert_eq!(late.await.unwrap().result, Ok(()));
    drop(waiter);
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_the_last_has_left_begins_anew() {
    let scene = Scene::new();
    let (flight, waiter) = scene.lead(secs(30));
    let flying = tokio::spawn(scene.clone().fly(flight.clone()));
    sleep(millis(100)).await;
    drop(waiter);
    // Called off, and its task has not noticed: nothing was polled since.
    let next = scene.flight(Wish::of(HEAD, secs(30)));
    assert!(matches!(scene.join(&next, secs(30)), Joined::After(_)));
    scene.up("head:10001");
    scene.connected(HEAD).await;
    flying.await.unwrap();
    assert_eq!(scene.count(&format!("init {HEAD}")), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_harms_no_other() {
    let scene = Scene::new();
    scene.set("head:10001", secs(3), Server::Up);
    let leader = scene.ask(Wish::of(HEAD, secs(30)));
    let other = scene.ask(Wish::of(HEAD, secs(30)));
    sleep(secs(1)).await;
    leader.abort();
    assert_eq!(other.await.unwrap().result, Ok(()));
    assert_eq!(scene.count(&format!("init {HEAD}")), 1);
}

#[tokio::test(start_paused = true)]
async fn a_departed_caller_leaves_no_patience_behind() {
    let scene = Scene::new();
    let long = scene.ask(Wish::of(HEAD, secs(30)));
    let short = scene.ask(Wish::of(HEAD, secs(2)));
    sleep(secs(1)).await;
    long.abort();
    let answer = short.await.unwrap();
    assert_eq!(answer.kind(), Some(Kind::Refused));
    assert!(answer.took < secs(2) + GRACE, "{:?}", answer.took);
    // It was the last, so the failure is the flight's own.
    assert_eq!(scene.lines.warnings_and_errors(), (1, 1));
    assert_eq!(scene.session.last_error().map(|e| e.kind), answer.kind());
}

#[tokio::test(start_paused = true)]
async fn a_departure_during_a_pause_shortens_it() {
    let scene = Scene::new();
    // Looked at every second: the next look would come after the deadline that remains.
    scene.set("head:10001", secs(0), Server::Fails(Kind::Dns));
    let long = scene.ask(Wish::of(HEAD, secs(30)));
    let short = scene.ask(Wish::of(HEAD, millis(1_500)));
    sleep(millis(1_200)).await;
    long.abort();
    let answer = short.await.unwrap();
    assert_eq!(
        (answer.kind(), answer.took),
        (Some(Kind::Dns), millis(1_500))
    );
}
