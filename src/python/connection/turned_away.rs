//! The fast no: while the breaker is open, the same call is answered without resolving anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;

use crate::config::Whereabouts;
use crate::error::Kind;
use crate::metrics::Metrics;
use crate::process::process;
use crate::python::connection::held::imported;
use crate::python::interop::args::{Asked, Namespace, Text};
use crate::python::ray;

static TURNED_AWAY: ArcSwapOption<TurnedAway> = ArcSwapOption::const_empty();

/// The last call that the breaker turned away.
struct TurnedAway {
    asked: Arc<Asked>,
    whereabouts: Whereabouts,
    /// `sys.modules["ray"]` at that time: a stand-in, or the real one, is asked anew.
    ray: Option<Py<PyAny>>,
    until: Instant,
    /// The session's, and what it was: then the last error is that of this call.
    revision: (Arc<AtomicU64>, u64),
    /// Counts the calls; at hand, so that the process need not be looked up.
    metrics: Arc<Metrics>,
}

/// Whether nothing has changed since this call was last turned away; if so, it is again.
pub fn stands(
    py: Python<'_>,
    address: Option<&Text<'_, '_>>,
    namespace: &Namespace<'_, '_>,
) -> bool {
    let last = TURNED_AWAY.load();
    let Some(last) = last.as_ref() else {
        return false;
    };
    let stands = last.asked.is(address, namespace)
        && last.revision.0.load(Ordering::Relaxed) == last.revision.1
        && Instant::now() < last.until
        && last.whereabouts == Whereabouts::now()
        && is_same_ray(py, last.ray.as_ref());
    if stands {
        last.metrics.rejected(Kind::CircuitOpen);
    }
    stands
}

/// Nobody has imported or replaced Ray in the meantime, nor connected it.
fn is_same_ray(py: Python<'_>, then: Option<&Py<PyAny>>) -> bool {
    match (imported(py, "ray"), then) {
        (None, None) => true,
        (Some(now), Some(then)) => now.is(then) && !ray::seems_connected(py),
        _ => false,
    }
}

/// Remembers a call that was turned away until then, or until the session's revision is another.
pub fn remember(py: Python<'_>, asked: &Arc<Asked>, until: Instant, revision: u64) {
    let session = &process().session;
    TURNED_AWAY.store(Some(Arc::new(TurnedAway {
        asked: Arc::clone(asked),
        whereabouts: Whereabouts::now(),
        ray: imported(py, "ray").map(Bound::unbind),
        until,
        revision: (Arc::clone(&session.revision), revision),
        metrics: Arc::clone(&session.metrics),
    })));
}

/// Forgets it: there is a connection, or this is another process.
pub fn forget() {
    TURNED_AWAY.store(None);
}
