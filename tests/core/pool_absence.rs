//! What a service answers before it asks a pool: whether a connection would be lent.

use std::sync::Arc;
use std::time::Duration;

use seedcore_ray::error::{ConnectError, Kind};
use seedcore_ray::pool::{Limits, Member, Order, Pool};
use seedcore_ray::session::Session;
use seedcore_ray::target::{NamespaceArg, Target};
use tokio::time::{Instant, advance};

use crate::env;

/// An open pool that is being filled.
pub fn pool(process: &Arc<Session>, name: &str, min_size: usize, max_size: usize) -> Arc<Pool> {
    let target = Target::resolve(Some("ray://head"), &NamespaceArg::LeftOut, &env(&[]));
    let limits = Limits {
        min_size,
        max_size,
        max_waiting: 1,
        max_idle: Duration::from_secs(60),
    };
    let pool = Pool::new(name, target.expect("an address"), limits, process);
    pool.open().expect("it is new");
    pool
}

/// The connection that it wants to make.
pub async fn next(pool: &Pool) -> Arc<Member> {
    match pool.next().await {
        Order::Connect(member) => member,
        Order::Disconnect { .. } | Order::Stop => panic!("it connects first"),
    }
}

fn refused() -> ConnectError {
    ConnectError::new(
        Kind::Refused,
        "ray://head:10001",
        "nobody listens",
        "Start it.",
    )
}

fn absence(pool: &Pool) -> Option<(Kind, String)> {
    let error = pool.absence()?;
    Some((error.cause().kind, error.to_string()))
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_filled_or_being_filled_has_none() {
    let process = Arc::new(Session::default());
    let pool = pool(&process, "a", 1, 1);
    assert_eq!(
        absence(&pool),
        None,
        "the first caller waits for the first connection"
    );
    let member = next(&pool).await;
    assert_eq!(absence(&pool), None);
    pool.up(&member);
    assert_eq!(absence(&pool), None);
    pool.down(&member, true);
    assert_eq!(absence(&pool), None, "another one takes its place");
    pool.close(false);
    assert_eq!(absence(&pool).map(|(kind, _)| kind), Some(Kind::PoolClosed));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_away_is_named_until_it_is_back() {
    let process = Arc::new(Session::default());
    let pool = pool(&process, "a", 1, 1);
    let member = next(&pool).await;
    pool.failed(&member, &refused());
    let (kind, message) = absence(&pool).expect("refused");
    assert_eq!(kind, Kind::Refused);
    assert_eq!(
        message,
        "Pool a to ray://head:10001: no connection: nobody listens. Start it."
    );
    // The keeper tries again by itself, and nobody needs to wait for that.
    let member = next(&pool).await;
    assert_eq!(absence(&pool).map(|(kind, _)| kind), Some(Kind::Refused));
    pool.up(&member);
    assert_eq!(absence(&pool), None);
}

/// Nothing is made for such a pool but for a caller.
#[tokio::test(start_paused = true)]
async fn the_pause_over_a_caller_may_make_a_pool_of_none_try_again() {
    let process = Arc::new(Session::default());
    let pool = pool(&process, "a", 0, 1);
    assert_eq!(absence(&pool), None);
    let waiter = pool.lend();
    let member = next(&pool).await;
    pool.failed(&member, &refused());
    drop(waiter);
    assert_eq!(absence(&pool).map(|(kind, _)| kind), Some(Kind::Refused));
    advance(Duration::from_secs(2)).await;
    assert_eq!(absence(&pool), None);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_half_filled_is_not_said_to_be_in_use() {
    let process = Arc::new(Session::default());
    let pool = pool(&process, "a", 2, 2);
    let member = next(&pool).await;
    pool.up(&member);
    let filled = pool.filled(Instant::now() + Duration::from_secs(1)).await;
    let error = filled.expect_err("one is missing").to_string();
    assert!(error.contains("1 of 2 connections are up"), "{error}");
}
