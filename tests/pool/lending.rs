//! Who gets a connection, and when.

use std::sync::Arc;

use seedcore_ray::error::Kind;
use seedcore_ray::pool::{LendError, Limits};
use seedcore_ray::session::Session;
use tokio::time::{Instant, sleep};

use crate::scene::{Scene, cause, doubted, limits, secs, soon};

#[tokio::test(start_paused = true)]
async fn the_connection_that_came_back_last_is_lent_first() {
    let scene = Scene::new(limits(2, 2));
    scene.grown().await;
    scene.grown().await;
    let (one, two) = (scene.lends(), scene.lends());
    let second = two.member().number;
    drop(one);
    drop(two);
    assert_eq!(scene.lends().member().number, second);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_are_served_in_the_order_in_which_they_came() {
    let scene = Scene::new(limits(2, 2));
    scene.grown().await;
    scene.grown().await;
    let held = [scene.lends(), scene.lends()];
    let (served, mut order) = tokio::sync::mpsc::unbounded_channel();
    for caller in 0..1000 {
        let (waiter, served) = (scene.waits(), served.clone());
        tokio::spawn(async move {
            let lease = waiter.wait(soon()).await.unwrap();
            served.send(caller).unwrap();
            drop(lease);
        });
    }
    drop((held, served));
    for expected in 0..1000 {
        assert_eq!(order.recv().await, Some(expected));
    }
    assert_eq!(scene.pool.stats().waiting, 0);
    assert_eq!(scene.pool.stats().available, 2);
}

#[tokio::test(start_paused = true)]
async fn one_who_comes_later_does_not_overtake() {
    let scene = Scene::new(limits(1, 1));
    scene.grown().await;
    let lease = scene.lends();
    let first = scene.waits();
    drop(lease);
    // Granted to the first, who has not looked yet.
    let second = scene.waits();
    let lease = first.wait(soon()).await.unwrap();
    drop(lease);
    assert!(second.wait(soon()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_who_gives_up_keeps_nothing_from_the_others() {
    let scene = Scene::new(limits(1, 1));
    scene.grown().await;
    let lease = scene.lends();
    let (first, second) = (scene.waits(), scene.waits());
    drop(lease);
    drop(first); // with a connection that it was granted
    assert!(second.wait(soon()).await.is_ok());
    assert_eq!(scene.pool.stats().available, 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_holds_and_says_that_all_are_in_use() {
    let scene = Scene::new(limits(1, 1));
    scene.grown().await;
    let _lease = scene.lends();
    let began = Instant::now();
    let waiter = scene.waits();
    let Err(LendError::TimedOut(error)) = waiter.wait(began + secs(3)).await else {
        panic!("there was a connection");
    };
    assert_eq!(began.elapsed(), secs(3));
    assert_eq!(error.kind, Kind::PoolTimeout);
    assert!(error.message.contains("main"), "{error}");
    assert!(error.hint.contains("max_size"), "{error}");
    assert_eq!(scene.pool.stats().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_says_why_there_is_no_connection() {
    let scene = Scene::new(limits(1, 1));
    let (member, watch) = scene.grown().await;
    doubted(&member, &watch, false);
    member.session.probed(secs(1), Some(cause(Kind::Refused)));
    let Err(LendError::TimedOut(error)) = scene.waits().wait(Instant::now() + secs(1)).await else {
        panic!("there was a connection");
    };
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.message.contains("scripted"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn no_more_callers_wait_than_may() {
    let scene = Scene::new(Limits {
        max_waiting: 1,
        ..limits(1, 1)
    });
    scene.grown().await;
    let _lease = scene.lends();
    let first = scene.waits();
    let refused = scene.refuses();
    assert!(matches!(&refused, LendError::Full(_)));
    assert_eq!(refused.cause().kind, Kind::PoolFull);
    drop(first);
    drop(scene.waits());
}

#[tokio::test(start_paused = true)]
async fn closing_ends_what_waits() {
    let scene = Scene::new(limits(1, 1));
    scene.grown().await;
    let lease = scene.lends();
    let waiter = scene.waits();
    scene.pool.close(false);
    let ended = waiter.wait(soon()).await;
    assert!(matches!(ended, Err(LendError::Closed(_))));
    assert!(matches!(scene.refuses(), LendError::Closed(_)));
    // What is lent is ended when it comes back, and the keeper then.
    assert!(scene.is_quiet().await);
    let number = lease.member().number;
    drop(lease);
    assert_eq!(scene.ended().await.number, number);
    assert!(matches!(
        scene.order().await,
        Some(seedcore_ray::pool::Order::Stop)
    ));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_process_takes_what_is_lent() {
    let scene = Scene::new(limits(1, 1));
    scene.grown().await;
    let lease = scene.lends();
    scene.pool.close(true);
    assert_eq!(scene.ended().await.number, lease.member().number);
    drop(lease);
    assert_eq!(scene.pool.stats().size, 0);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_cause_ends_the_wait_at_once() {
    let scene = Scene::new(limits(0, 1));
    let waiter = scene.waits();
    let member = scene.begun().await;
    scene.pool.failed(&member, &cause(Kind::Auth));
    let began = Instant::now();
    let Err(LendError::Failed(error)) = waiter.wait(soon()).await else {
        panic!("there was a connection");
    };
    assert_eq!((error.kind, began.elapsed()), (Kind::Auth, secs(0)));
    // The next caller is told anew: somebody may have mended it.
    let _waiter = scene.waits();
    assert_eq!(scene.begun().await.number, 2);
}

#[tokio::test(start_paused = true)]
async fn while_the_circuit_is_open_callers_are_refused() {
    let scene = Scene::new(limits(0, 1));
    let waiter = scene.waits();
    let member = scene.begun().await;
    let refused = cause(Kind::Refused);
    let circuits = &member.session.circuits;
    circuits.failed(&scene.pool.target, &refused, secs(10));
    scene.pool.failed(&member, &refused);
    assert!(matches!(
        waiter.wait(soon()).await,
        Err(LendError::Failed(_))
    ));
    let error = scene.refuses();
    assert_eq!(error.cause().kind, Kind::CircuitOpen);
    assert!(error.cause().retry_after.is_some());
    assert!(error.cause().message.contains("scripted"));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_pool_to_fill() {
    let scene = Scene::new(limits(2, 2));
    let pool = Arc::clone(&scene.pool);
    let filled = tokio::spawn(async move { pool.filled(soon()).await });
    scene.grown().await;
    sleep(secs(1)).await;
    assert!(!filled.is_finished());
    scene.grown().await;
    assert!(filled.await.unwrap().is_ok());
    let late = Scene::new(limits(1, 1));
    let until = Instant::now() + secs(1);
    assert!(matches!(
        late.pool.filled(until).await,
        Err(LendError::TimedOut(_))
    ));
    let member = late.begun().await;
    late.pool.failed(&member, &cause(Kind::WrongPort));
    let error = late.pool.filled(soon()).await.unwrap_err();
    assert_eq!(error.cause().kind, Kind::WrongPort);
}

#[test]
fn a_pool_belongs_to_one_process() {
    let scene = Scene::new(limits(1, 1));
    assert!(scene.pool.is_of(&scene.process));
    assert!(!scene.pool.is_of(&Arc::new(Session::forked())));
}
