//! When connections are made and ended.

use seedcore_ray::error::Kind;
use seedcore_ray::events::What;
use seedcore_ray::pool::Limits;
use seedcore_ray::session::Gone;
use tokio::time::{Instant, sleep};

use crate::scene::{Scene, cause, doubted, limits, released, secs, soon};

#[tokio::test(start_paused = true)]
async fn so_many_are_made_in_advance_one_after_the_other() {
    let scene = Scene::new(limits(2, 4));
    let first = scene.begun().await;
    assert!(scene.is_quiet().await);
    scene.arrives(&first);
    scene.grown().await;
    assert!(scene.is_quiet().await);
    assert_eq!(scene.pool.stats().available, 2);
}

#[tokio::test(start_paused = true)]
async fn more_are_made_while_callers_wait_and_no_more_than_may() {
    let scene = Scene::new(limits(0, 2));
    assert!(scene.is_quiet().await);
    let waiters = [scene.waits(), scene.waits(), scene.waits()];
    scene.grown().await;
    scene.grown().await;
    assert!(scene.is_quiet().await);
    let [one, two, three] = waiters;
    let leases = (
        one.wait(soon()).await.unwrap(),
        two.wait(soon()).await.unwrap(),
    );
    drop(leases.0);
    assert!(three.wait(soon()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_needs_is_ended() {
    let scene = Scene::new(Limits {
        max_idle: secs(100),
        ..limits(1, 2)
    });
    scene.grown().await;
    let lease = scene.lends();
    let waiter = scene.waits();
    let (second, _) = scene.grown().await;
    drop((lease, waiter.wait(soon()).await.unwrap()));
    let began = Instant::now();
    let ended = loop {
        if let Some(order) = scene.order().await {
            break order;
        }
    };
    let seedcore_ray::pool::Order::Disconnect { member, is_up } = ended else {
        panic!("none is ended");
    };
    // The one that came back first, which nobody has used since.
    assert!(
        is_up && began.elapsed() >= secs(100),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(scene.pool.stats().size, 1);
    assert_ne!(member.number, second.number + 1);
    assert!(scene.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_broken_has_another_one_take_its_place() {
    let scene = Scene::new(limits(1, 1));
    let (broken, watch) = scene.grown().await;
    doubted(&broken, &watch, true);
    assert_eq!(scene.pool.stats().available, 0);
    // At once, and not when its monitor has given it up.
    let began = Instant::now();
    let (second, _) = scene.grown().await;
    assert_eq!(began.elapsed(), secs(0));
    assert_eq!(scene.lends().member().number, second.number);
    released(&broken, &watch);
    assert!(!scene.pool.awaits(&broken));
    assert_eq!(scene.ended().await.number, broken.number);
    assert_eq!(scene.pool.stats().size, 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_not_broken_after_all_is_one_too_many() {
    let scene = Scene::new(limits(1, 1));
    let (first, watch) = scene.grown().await;
    doubted(&first, &watch, true);
    scene.grown().await;
    first.session.monitored(&watch).unwrap().checked(true);
    scene.ended().await;
    assert_eq!(scene.pool.stats().available, 1);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_away_is_left_to_the_monitors() {
    let scene = Scene::new(limits(1, 4));
    let (member, watch) = scene.grown().await;
    doubted(&member, &watch, false);
    let waiter = scene.waits();
    assert!(scene.is_quiet().await);
    released(&member, &watch);
    assert!(scene.is_quiet().await);
    assert!(scene.pool.awaits(&member));
    scene.arrives(&member);
    assert!(waiter.wait(soon()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_that_was_shut_down_is_made_again() {
    let scene = Scene::new(limits(1, 1));
    let (member, _) = scene.grown().await;
    let lease = scene.lends();
    member.session.gone(Gone::ShutDown);
    assert_eq!(scene.ended().await.number, member.number);
    let (second, _) = scene.grown().await;
    drop(lease); // of a connection that the pool does not know any more
    assert_eq!(scene.lends().member().number, second.number);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_after_a_while() {
    let scene = Scene::new(limits(1, 1));
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let member = scene.begun().await;
        scene.pool.failed(&member, &cause(Kind::InitFailed));
        let began = Instant::now();
        sleep(secs(0)).await;
        pauses.push(began);
    }
    let pauses: Vec<_> = pauses.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [secs(1), secs(2), secs(4)]);
    scene.grown().await;
    assert_eq!(scene.pool.stats().connects_failed, 4);
}

#[tokio::test(start_paused = true)]
async fn a_good_look_at_one_does_not_hurry_another() {
    let scene = Scene::new(limits(2, 2));
    let (first, watch) = scene.grown().await;
    let second = scene.begun().await;
    scene.pool.failed(&second, &cause(Kind::InitFailed));
    let failed = Instant::now();
    first.session.monitored(&watch).unwrap().checked(true);
    scene.begun().await;
    assert_eq!(failed.elapsed(), secs(1));
}

#[tokio::test(start_paused = true)]
async fn events_name_the_pool() {
    let scene = Scene::new(limits(1, 1));
    let (member, watch) = scene.grown().await;
    released(&member, &watch);
    let events: Vec<_> = scene.process.take_events().into_iter().collect();
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.pool.as_deref(), event.what))
        .collect();
    assert_eq!(
        told,
        [(Some("main"), What::Connected), (Some("main"), What::Lost)]
    );
    assert_eq!(scene.pool.stats().lost, 1);
}
