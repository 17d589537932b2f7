//! The metrics as families of samples, in the model of OpenMetrics 1.0.
//!
//! Every series is there from the start, at zero: `increase()` misses one that appears with its
//! first occurrence. No label holds what a caller passed, except the name of a pool.

mod openmetrics;
mod pools;

use std::borrow::Cow;
use std::sync::Arc;

use strum::VariantArray as _;

use crate::breaker::Position;
use crate::error::Kind;
use crate::metrics::{ByCause, Histogram, Metrics, Outcomes};
use crate::pool::Pool;
use crate::preflight::Role;
use crate::session::{Session, State};
pub use openmetrics::text;

/// The type of a family; its name is that of OpenMetrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Type {
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// Durations by bucket.
    Histogram,
    /// A constant 1 whose labels carry the information.
    Info,
    /// One sample for each state; the current one is 1.
    StateSet,
}

/// Names and values of one sample's labels.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What its name has beyond that of the family.
    pub suffix: &'static str,
    /// What distinguishes it from the other samples of that name.
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
    /// Its meaning, as a sentence.
    pub help: &'static str,
    /// `seconds`, or nothing.
    pub unit: &'static str,
    /// Its numbers.
    pub samples: Vec<Sample>,
}

/// All metrics of this process, as they are now: of its own connection, and of its open pools.
pub fn families(session: &Session, pools: &[Arc<Pool>]) -> Vec<Family> {
    [own(session), pools::families(pools)].concat()
}

fn own(session: &Session) -> Vec<Family> {
    let metrics = &*session.metrics;
    let version = vec![("version", env!("CARGO_PKG_VERSION").into())];
    vec![
        Family::new(
            "seedcore_ray_build",
            Type::Info,
            "The version of seedcore-ray.",
            vec![Sample::new("_info", version, 1.0)],
        ),
        state_set(
            "seedcore_ray_connection_state",
            "Where the connection to Ray stands.",
            State::VARIANTS.iter().map(|state| state.as_str()),
            session.state().as_str(),
        ),
        state_set(
            "seedcore_ray_stand_in",
            "Which sort of address is connected in place of the one that was asked for.",
            ["none"]
                .into_iter()
                .chain(Role::VARIANTS.iter().map(|role| role.as_str())),
            stand_in(session).map_or("none", Role::as_str),
        ),
        gauge(
            "seedcore_ray_generation",
            "How many connections this process has held; handles of an earlier one are dead.",
            number(session.generation()),
        ),
        counter(
            "seedcore_ray_connect_attempts",
            "Connects that have ended; callers who share one count once.",
            connect_attempts(metrics),
        ),
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
        gauge(
            "seedcore_ray_last_success_timestamp_seconds",
            "When a connect or a look at the cluster last succeeded, since the epoch; 0 is never.",
            metrics.last_success().as_secs_f64(),
        ),
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
        counter(
            "seedcore_ray_rejections",
            "Calls that were answered at once, without trying; circuit_open is the breaker's.",
            rejections(metrics),
        ),
    ]
}

fn stand_in(session: &Session) -> Option<Role> {
    session.connection()?.info.stand_in()
}

fn connect_attempts(metrics: &Metrics) -> Vec<Sample> {
    let connected = metrics.connects.succeeded.cumulative().pop();
    let labels = |outcome: &'static str, cause: &'static str| {
        vec![("outcome", outcome.into()), ("cause", cause.into())]
    };
    let failed = by_cause(&metrics.failures, |cause| match cause {
        Kind::Cancelled => labels("cancelled", cause.as_str()),
        _ => labels("failed", cause.as_str()),
    });
    let connected = Sample::total(labels("connected", "none"), connected.unwrap_or_default());
    [connected].into_iter().chain(failed).collect()
}

fn rejections(metrics: &Metrics) -> Vec<Sample> {
    let labels = |cause: Kind| vec![("cause", cause.as_str().into())];
    by_cause(&metrics.rejections, labels).collect()
}

fn by_cause(counts: &ByCause, labels: impl Fn(Kind) -> Labels) -> impl Iterator<Item = Sample> {
    let causes = Kind::VARIANTS.iter();
    causes.map(move |&cause| Sample::total(labels(cause), counts.get(cause)))
}

fn gauge(name: &'static str, help: &'static str, value: f64) -> Family {
    let samples = vec![Sample::new("", Labels::new(), value)];
    Family::new(name, Type::Gauge, help, samples)
}

fn counter(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Family {
    Family::new(name, Type::Counter, help, samples)
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
    Family::new(name, Type::StateSet, help, states.map(sample).collect())
}

fn durations(
    name: &'static str,
    help: &'static str,
    outcomes: &Outcomes,
    success: &'static str,
) -> Family {
    let mut samples = buckets(&outcomes.succeeded, success);
    samples.extend(buckets(&outcomes.failed, "failed"));
    Family::new(name, Type::Histogram, help, samples)
}

fn buckets(histogram: &Histogram, outcome: &'static str) -> Vec<Sample> {
    let labels = || vec![("outcome", Cow::Borrowed(outcome))];
    // OpenMetrics writes whole bounds with their point: 1.0.
    let bounds = histogram.bounds.iter().map(|bound| format!("{bound:?}"));
    let bounds = bounds.chain(["+Inf".to_owned()]);
    let counts = histogram.cumulative();
    let all = number(counts.last().copied().unwrap_or_default());
    let bucket = |(bound, count): (String, u64)| {
        let labels = [labels(), vec![("le", bound.into())]].concat();
        Sample::new("_bucket", labels, number(count))
    };
    let mut samples: Vec<Sample> = bounds.zip(counts).map(bucket).collect();
    samples.push(Sample::new("_count", labels(), all));
    let sum = histogram.sum().as_secs_f64();
    samples.push(Sample::new("_sum", labels(), sum));
    samples
}

impl Family {
    fn new(name: &'static str, kind: Type, help: &'static str, samples: Vec<Sample>) -> Self {
        let in_seconds = name.ends_with("_seconds");
        Self {
            name,
            kind,
            help,
            unit: if in_seconds { "seconds" } else { "" },
            samples,
        }
    }
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
