//! The queue of events for Python's logging.

use std::path::Path;
use std::sync::LazyLock;
use std::{fs, io};

use seedcore_ray::log_queue::{self, Queue, Record};
use seedcore_ray::log_target;
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

static QUEUE: LazyLock<Queue> = LazyLock::new(Queue::default);

#[test]
fn our_events_are_queued_with_the_target_as_logger() {
    log_queue::install(|record| QUEUE.push(record));
    let (fast, slow, long) = (0.012_345, 12.345, 1_234.5);
    tracing::error!(target: log_target::CONNECT, "one");
    tracing::debug!(target: log_target::PROBE, hop = 2, ok = true, step = "tcp", "two");
    tracing::debug!(target: log_target::PROBE, fast, slow, long, "three");
    tracing::trace!(target: log_target::CONNECT, "too fine");
    tracing::error!(target: "h2::client", "not ours");
    let records: Vec<_> = QUEUE.take().into();
    let expected = [
        (Level::ERROR, "seedcore_ray.connect", "one"),
        (
            Level::DEBUG,
            "seedcore_ray.probe",
            "two hop=2 ok=true step=tcp",
        ),
        (
            Level::DEBUG,
            "seedcore_ray.probe",
            "three fast=0.012 slow=12.3 long=1234",
        ),
    ];
    let expected = expected.map(|(level, logger, message)| Record {
        level,
        logger: logger.into(),
        message: message.into(),
    });
    assert_eq!(records, expected);
}

/// Without one, an event has the path of its module as target, and the logger moves with the file.
#[test]
fn every_event_names_its_target() {
    let mut without = Vec::new();
    collect(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut without,
    )
    .unwrap();
    assert_eq!(without, [""; 0]);
}

fn collect(dir: &Path, without: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, without)?;
            continue;
        }
        let text = fs::read_to_string(&path)?;
        for name in ["trace!(", "debug!(", "info!(", "warn!(", "error!("] {
            for (at, _) in text.match_indices(name) {
                let is_other = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                let arguments = text[at + name.len()..].trim_start();
                if !is_other && !arguments.starts_with("target: ") {
                    let line = text[..at].lines().count();
                    without.push(format!("{}:{line}", path.display()));
                }
            }
        }
    }
    Ok(())
}
