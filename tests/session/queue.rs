//! Events on their way to Python's logging.

use seedcore_ray::log_queue::{self, Queue, Record};
use seedcore_ray::process::process;
use tracing::Level;

fn record(n: usize) -> Record {
    Record {
        level: Level::INFO,
        logger: "seedcore_ray.x".into(),
        message: n.to_string(),
    }
}

#[test]
fn records_come_out_in_order_and_once() {
    let queue = Queue::default();
    (0..10).map(record).for_each(|record| queue.push(record));
    assert_eq!(queue.take(), (0..10).map(record).collect::<Vec<_>>());
    assert!(queue.take().is_empty());
}

#[test]
fn beyond_the_bound_the_oldest_go() {
    let queue = Queue::default();
    (0..5_000).map(record).for_each(|record| queue.push(record));
    let kept = queue.take();
    assert_eq!(kept.len(), 4_096);
    assert_eq!(kept.front(), Some(&record(5_000 - 4_096)));
    assert_eq!(kept.back(), Some(&record(4_999)));
}

#[test]
fn our_events_are_queued_with_the_room_as_logger() {
    log_queue::install();
    tracing::error!(target: "seedcore_ray::session", "one");
    tracing::debug!(target: "seedcore_ray::probe::tls", hop = 2, "two");
    tracing::trace!(target: "seedcore_ray::session", "too fine");
    tracing::error!(target: "h2::client", "not ours");
    let records: Vec<_> = process().logs.take().into();
    let expected = [
        (Level::ERROR, "seedcore_ray.session", "one"),
        (Level::DEBUG, "seedcore_ray.probe", "two hop=2"),
    ];
    let expected = expected.map(|(level, logger, message)| Record {
        level,
        logger: logger.into(),
        message: message.into(),
    });
    assert_eq!(records, expected);
}
