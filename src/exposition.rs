//! What a scrape reads: families of samples, in the model of OpenMetrics 1.0.
//!
//! Everything that can be counted is there from the start, at zero: whatever appears with its
//! first occurrence is missed by `increase()`. No label holds what a caller passed.

mod openmetrics;

use std::borrow::Cow;

use strum::VariantArray as _;

use crate::breaker::Position;
use crate::error::Kind;
use crate::metrics::{ByCause, Histogram, Metrics, Outcomes};
use crate::session::{Session, State};
pub use openmetrics::text;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations by bucket.
    Histogram,
    /// A constant 1 whose labels tell.
    Info,
    /// One sample for each state; the one that holds is 1.
    StateSet,
}

impl Type {
    /// Its name in OpenMetrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

/// Names and values of one sample's labels.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What its name has beyond that of the family.
    pub suffix: &'static str,
    /// What tells it from the other samples of that name.
    pub labels: Labels,
    /// The number itself.
    pub value: f64,
}

/// One metric with all its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name; that of a counter without `_total`.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// What it tells, as a sentence.
    pub help: &'static str,
    /// `seconds`, or nothing.
    pub unit: &'static str,
    /// Its numbers.
    pub samples: Vec<Sample>,
}

/// All metrics of this process, as they are now.
pub fn families(session: &Session) -> Vec<Family> {
    let metrics = &*session.metrics;
    vec![
        build(),
        state_set(
            "seedcore_ray_connection_state",
            "Where the connection to Ray stands.",
            State::VARIANTS.iter().map(|state| state.as_str()),
            session.state().as_str(),
        ),
        generation(session),
        connect_attempts(metrics),
        durations(
            "seedcore_ray_connect_duration_seconds",
            "How long connects took, from the first look to the end of ray.init.",
            &metrics.connects,
            "connected",
        ),
        durations(
            "seedcore_ray_probe_duration_seconds",
            "How long single looks at the cluster took.",
            &metrics.probes,
            "answered",
        ),
        last_success(metrics),
        counter(
            "seedcore_ray_connection_losses",
            "Connections that the monitor gave up as lost.",
            vec![Sample::total(Labels::new(), metrics.losses())],
        ),
        counter(
            "seedcore_ray_reconnects",
            "Connections that were made again after a loss.",
            vec![Sample::total(Labels::new(), metrics.reconnects())],
        ),
        state_set(
            "seedcore_ray_breaker_state",
            "The circuit breaker; of several targets, the one that is furthest from closed.",
            Position::VARIANTS.iter().map(|position| position.as_str()),
            session.circuits.position().as_str(),
        ),
        rejections(metrics),
    ]
}

fn build() -> Family {
    let version = Cow::Borrowed(env!("CARGO_PKG_VERSION"));
    Family {
        name: "seedcore_ray_build",
        kind: Type::Info,
        help: "The version of seedcore-ray.",
        unit: "",
        samples: vec![Sample::new("_info", vec![("version", version)], 1.0)],
    }
}

fn generation(session: &Session) -> Family {
    let generation = number(session.generation());
    Family {
        name: "seedcore_ray_generation",
        kind: Type::Gauge,
        help: "How many connections this process has held; handles of an earlier one are dead.",
        unit: "",
        samples: vec![Sample::new("", Labels::new(), generation)],
    }
}

fn last_success(metrics: &Metrics) -> Family {
    let at = metrics.last_success().as_secs_f64();
    Family {
        name: "seedcore_ray_last_success_timestamp_seconds",
        kind: Type::Gauge,
        help: "When a connect or a look at the cluster last succeeded, since the epoch; 0 is never.",
        unit: "seconds",
        samples: vec![Sample::new("", Labels::new(), at)],
    }
}

fn connect_attempts(metrics: &Metrics) -> Family {
    let connected = metrics.connects.succeeded.cumulative();
    let connected = connected.last().copied().unwrap_or_default();
    let mut samples = vec![Sample::total(
        attempt_labels("connected", "none"),
        connected,
    )];
    samples.extend(by_cause(&metrics.failures, |cause| {
        let outcome = match cause {
            Kind::Cancelled => "cancelled",
            _ => "failed",
        };
        attempt_labels(outcome, cause.as_str())
    }));
    counter(
        "seedcore_ray_connect_attempts",
        "Connects that have ended; callers who share one count once.",
        samples,
    )
}

fn attempt_labels(outcome: &'static str, cause: &'static str) -> Labels {
    vec![("outcome", outcome.into()), ("cause", cause.into())]
}

fn rejections(metrics: &Metrics) -> Family {
    let samples = by_cause(&metrics.rejections, |cause| {
        vec![("cause", cause.as_str().into())]
    });
    counter(
        "seedcore_ray_rejections",
        "Calls that were answered at once, without trying; circuit_open is the breaker's.",
        samples.collect(),
    )
}

fn by_cause(counts: &ByCause, labels: impl Fn(Kind) -> Labels) -> impl Iterator<Item = Sample> {
    let causes = Kind::VARIANTS.iter();
    causes.map(move |&cause| Sample::total(labels(cause), counts.get(cause)))
}

fn counter(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Family {
    Family {
        name,
        kind: Type::Counter,
        help,
        unit: "",
        samples,
    }
}

fn state_set(
    name: &'static str,
    help: &'static str,
    states: impl Iterator<Item = &'static str>,
    current: &str,
) -> Family {
    // OpenMetrics wants the label to have the family's own name.
    let sample = |state: &'static str| {
        let value = f64::from(u8::from(state == current));
        Sample::new("", vec![(name, state.into())], value)
    };
    Family {
        name,
        kind: Type::StateSet,
        help,
        unit: "",
        samples: states.map(sample).collect(),
    }
}

fn durations(
    name: &'static str,
    help: &'static str,
    outcomes: &Outcomes,
    success: &'static str,
) -> Family {
    let mut samples = buckets(&outcomes.succeeded, success);
    samples.extend(buckets(&outcomes.failed, "failed"));
    Family {
        name,
        kind: Type::Histogram,
        help,
        unit: "seconds",
        samples,
    }
}

fn buckets(histogram: &Histogram, outcome: &'static str) -> Vec<Sample> {
    let labels = || vec![("outcome", Cow::Borrowed(outcome))];
    let counts = histogram.cumulative();
    let all = counts.last().copied().unwrap_or_default();
    // OpenMetrics writes whole bounds with their point: 1.0.
    let bounds = histogram.bounds.iter().map(|bound| format!("{bound:?}"));
    let bounds = bounds.chain(["+Inf".to_owned()]);
    let mut samples: Vec<Sample> = bounds
        .zip(counts)
        .map(|(bound, count)| {
            let mut labels = labels();
            labels.push(("le", bound.into()));
            Sample::new("_bucket", labels, number(count))
        })
        .collect();
    samples.push(Sample::new("_count", labels(), number(all)));
    let sum = histogram.sum().as_secs_f64();
    samples.push(Sample::new("_sum", labels(), sum));
    samples
}

impl Sample {
    fn new(suffix: &'static str, labels: Labels, value: f64) -> Self {
        Self {
            suffix,
            labels,
            value,
        }
    }

    fn total(labels: Labels, count: u64) -> Self {
        Self::new("_total", labels, number(count))
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "Prometheus keeps every number as a float; nothing here is counted to 2^53"
)]
fn number(count: u64) -> f64 {
    count as f64
}
