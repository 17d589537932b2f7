//! A queue of the crate's tracing events for Python's `logging`.
//!
//! Events are emitted anywhere, in a tokio thread or under a lock, and therefore only queued. Python's
//! threads take them out and hand them to `logging` when they hold no lock.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::mem;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Enough for the DEBUG lines of a long wait. When it is full, the oldest record is dropped.
const CAPACITY: usize = 4096;

/// The prefix of the crate's own targets. HTTP/2 and gRPC libraries trace every frame.
const OURS: &str = "seedcore_ray";

/// One event as a logger takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The severity.
    pub level: Level,
    /// The logger's name: the event's target, one of [`log_target`](crate::log_target).
    pub logger: String,
    /// The message, then the other fields as `key=value`.
    pub message: String,
}

/// Records that wait for a Python thread.
#[derive(Default)]
pub struct Queue {
    records: Mutex<VecDeque<Record>>,
}

impl Queue {
    fn records(&self) -> MutexGuard<'_, VecDeque<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record. Drops the oldest one when the queue is full.
    pub fn push(&self, record: Record) {
        let mut records = self.records();
        if records.len() == CAPACITY {
            records.pop_front();
        }
        records.push_back(record);
    }

    /// Whether no record waits.
    pub fn is_empty(&self) -> bool {
        self.records().is_empty()
    }

    /// Removes and returns all records, in order.
    pub fn take(&self) -> VecDeque<Record> {
        mem::take(&mut *self.records())
    }
}

/// Passes the crate's events to `sink` from now on. Only the first call has an effect.
pub fn install(sink: fn(Record)) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::registry()
            .with(Targets::new().with_target(OURS, LevelFilter::DEBUG))
            .with(ToSink(sink));
        // An error means that a test harness has set its own subscriber, which stays.
        let _ = tracing::subscriber::set_global_default(subscriber);
    });
}

struct ToSink(fn(Record));

impl<S: Subscriber> Layer<S> for ToSink {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        (self.0)(Record {
            level: *event.metadata().level(),
            logger: event.metadata().target().to_owned(),
            message: text.0,
        });
    }
}

/// The message, then the other fields as `key=value`, written for people.
#[derive(Default)]
struct Text(String);

impl Text {
    fn push(&mut self, field: &Field, value: impl fmt::Display) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value}"),
            name => write!(self.0, " {name}={value}"),
        };
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value);
    }

    /// Three significant digits, no more than three of them decimals: `1234`, `12.3`, `0.012`.
    fn record_f64(&mut self, field: &Field, value: f64) {
        let decimals = match value.abs() {
            100.0.. => 0,
            10.0.. => 1,
            1.0.. => 2,
            _ => 3,
        };
        self.push(field, format_args!("{value:.decimals$}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format_args!("{value:?}"));
    }
}
