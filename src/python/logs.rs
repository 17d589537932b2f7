//! Delivery of queued log records to Python's `logging`.

use std::cell::Cell;

use pyo3::intern;
use pyo3::prelude::*;
use tracing::Level;

use crate::log_queue::Record;
use crate::process::process;
use crate::python::events;
use crate::python::interop::exit_guard::survived;

thread_local! {
    static FLUSHING: Cell<bool> = const { Cell::new(false) };
}

/// Queues a record for Python: the sink of [`install`](crate::log_queue::install).
pub fn enqueue(record: Record) {
    process().logs.push(record);
}

/// Write what is queued into Python's logging, on this thread and in its context, and hand events to
/// their callbacks.
///
/// Levels are checked at delivery, so that `logging.basicConfig` counts before and after our import.
/// A filter or handler that raises is reported as unraisable and breaks nothing.
///
/// A handler may call this crate. What that logs waits for the next flush, or this one might not end.
#[pyfunction(name = "flush_logs")]
pub fn flush(py: Python<'_>) {
    if is_flushing() {
        return;
    }
    events::deliver(py);
    let records = process().logs.take();
    if records.is_empty() {
        return;
    }
    FLUSHING.set(true);
    survived(|| {
        for record in records {
            if let Err(error) = emit(py, &record) {
                error.write_unraisable(py, None);
            }
        }
    });
    FLUSHING.set(false);
}

/// As [`flush`], on a thread of its own, for a caller that a slow log handler must not hold up.
pub fn flush_elsewhere(py: Python<'_>) {
    events::deliver(py);
    if process().logs.is_empty() {
        return;
    }
    // If no thread can be started, the records are written with the next ones.
    let _ = py
        .import(intern!(py, "seedcore_ray._monitor"))
        .and_then(|module| module.call_method0(intern!(py, "flush_elsewhere")));
}

/// Whether this thread is inside a log handler called by [`flush`].
pub fn is_flushing() -> bool {
    FLUSHING.get()
}

fn emit(py: Python<'_>, record: &Record) -> PyResult<()> {
    let (name, message) = (&record.logger, &record.message);
    let level = level_of(record.level);
    let logging = py.import(intern!(py, "logging"))?;
    let logger = logging.call_method1(intern!(py, "getLogger"), (name,))?;
    let is_enabled = logger.call_method1(intern!(py, "isEnabledFor"), (level,))?;
    if !is_enabled.is_truthy()? {
        return Ok(());
    }
    // Args are None, not (): a percent sign in the message is not a format.
    let none = py.None();
    let arguments = (name, level, "seedcore_ray", 0, message, &none, &none);
    let made = logger.call_method1(intern!(py, "makeRecord"), arguments)?;
    logger
        .call_method1(intern!(py, "handle"), (made,))
        .map(drop)
}

const fn level_of(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG | Level::TRACE => 10,
    }
}
