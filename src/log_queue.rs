//! Tracing events on their way to Python's logging.
//!
//! Events may be made anywhere, in a tokio thread or under a lock. They are only queued; threads
//! that belong to Python take them out and hand them to `logging` when they hold nothing else.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::mem;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::process::process;

/// Enough for the DEBUG lines of a long wait; beyond it the oldest are given up.
const CAPACITY: usize = 4096;

/// The crate's own events. HTTP/2 and gRPC libraries trace every frame: not ours to show.
const OURS: &str = "seedcore_ray";

/// One event, ready for a logger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The severity.
    pub level: Level,
    /// The logger's name: `seedcore_ray.session`.
    pub logger: String,
    /// The text.
    pub message: String,
}

/// Events that wait for a Python thread.
#[derive(Default)]
pub struct Queue {
    records: Mutex<VecDeque<Record>>,
}

impl Queue {
    fn records(&self) -> MutexGuard<'_, VecDeque<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one; the oldest goes when there is no room.
    pub fn push(&self, record: Record) {
        let mut records = self.records();
        if records.len() == CAPACITY {
            records.pop_front();
        }
        records.push_back(record);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.records().is_empty()
    }

    /// Takes all of them out, in order.
    pub fn take(&self) -> VecDeque<Record> {
        mem::take(&mut *self.records())
    }
}

/// Sends the crate's events to the process's queue from now on.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(ToQueue);
        // An error means that a test harness has its own subscriber: leave it that.
        let _ = tracing::subscriber::set_global_default(subscriber);
    });
}

struct ToQueue;

impl ToQueue {
    fn is_ours(metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(OURS) && *metadata.level() <= Level::DEBUG
    }
}

impl<S: Subscriber> Layer<S> for ToQueue {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::is_ours(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        Self::is_ours(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        process().logs.push(Record {
            level: *event.metadata().level(),
            logger: logger_of(event.metadata().target()),
            message: text.0,
        });
    }
}

/// `seedcore_ray::probe::tls` logs as `seedcore_ray.probe`: a logger for each room of the house.
fn logger_of(target: &str) -> String {
    target.split("::").take(2).collect::<Vec<_>>().join(".")
}

/// The message, then the other fields as `key=value`.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
