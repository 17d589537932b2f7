//! The metrics of pools of connections.
//!
//! The families are there without a pool, too, and have no samples then. Pools of the same name are
//! added up: Prometheus refuses a series that comes twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Family, Labels, Sample, Type, connect_attempts, number};
use crate::metrics::Metrics;
use crate::pool::{Pool, Stats};

struct Known<'a> {
    name: &'a str,
    metrics: &'a Metrics,
    stats: Stats,
}

impl<'a> Known<'a> {
    fn new(pool: &'a Arc<Pool>) -> Self {
        Self {
            name: &pool.name,
            metrics: &pool.metrics,
            stats: pool.stats(),
        }
    }
}

pub(super) fn families(pools: &[Arc<Pool>]) -> Vec<Family> {
    let all: Vec<Known<'_>> = pools.iter().map(Known::new).collect();
    [gauges(&all), calls(&all), connections(&all)].concat()
}

fn gauges(all: &[Known<'_>]) -> Vec<Family> {
    let gauge = |name, help, of: fn(&Stats) -> usize| {
        let samples = |one: &Known<'_>| vec![Sample::new("", Labels::new(), count(of(&one.stats)))];
        Family::new(name, Type::Gauge, help, summed(all, samples))
    };
    let by_state = |one: &Known<'_>| {
        let now = one.stats;
        let states = [
            ("down", count(now.down)),
            ("idle", count(now.available)),
            ("in_use", count(now.in_use)),
        ];
        split("", "state", states)
    };
    vec![
        Family::new(
            "seedcore_ray_pool_connections",
            Type::Gauge,
            "Connections of a pool; those that are down are being made, or lost and waited for.",
            summed(all, by_state),
        ),
        gauge(
            "seedcore_ray_pool_min_connections",
            "How many connections a pool keeps.",
            |stats| stats.min_size,
        ),
        gauge(
            "seedcore_ray_pool_max_connections",
            "How many connections a pool makes at most.",
            |stats| stats.max_size,
        ),
        gauge(
            "seedcore_ray_pool_waiting",
            "Callers that wait for a connection of a pool.",
            |stats| stats.waiting,
        ),
    ]
}

fn calls(all: &[Known<'_>]) -> Vec<Family> {
    let requests = |one: &Known<'_>| {
        let now = one.stats;
        let at_once = now.requests - now.queued - now.refused;
        let outcomes = [
            ("at_once", number(at_once)),
            ("queued", number(now.queued)),
            ("refused", number(now.refused)),
        ];
        split("_total", "outcome", outcomes)
    };
    let seconds = |name, help, of: fn(&Stats) -> f64| {
        let samples = |one: &Known<'_>| vec![Sample::new("_total", Labels::new(), of(&one.stats))];
        Family::new(name, Type::Counter, help, summed(all, samples))
    };
    vec![
        Family::new(
            "seedcore_ray_pool_requests",
            Type::Counter,
            "Calls for a connection of a pool.",
            summed(all, requests),
        ),
        total(
            all,
            "seedcore_ray_pool_timeouts",
            "Callers who waited for a connection of a pool for as long as they could.",
            |one| one.stats.timeouts,
        ),
        seconds(
            "seedcore_ray_pool_wait_seconds",
            "How long callers have waited for a connection of a pool, all together.",
            |stats| stats.waited.as_secs_f64(),
        ),
        seconds(
            "seedcore_ray_pool_usage_seconds",
            "How long connections of a pool have been lent, all together.",
            |stats| stats.used.as_secs_f64(),
        ),
    ]
}

fn connections(all: &[Known<'_>]) -> Vec<Family> {
    vec![
        Family::new(
            "seedcore_ray_pool_connect_attempts",
            Type::Counter,
            "Connects of a pool that have ended.",
            summed(all, |one| connect_attempts(one.metrics)),
        ),
        total(
            all,
            "seedcore_ray_pool_connection_losses",
            "Connections of a pool that its monitors gave up as lost.",
            |one| one.metrics.losses(),
        ),
        total(
            all,
            "seedcore_ray_pool_reconnects",
            "Connections of a pool that were made again after a loss.",
            |one| one.metrics.reconnects(),
        ),
    ]
}

fn total(
    all: &[Known<'_>],
    name: &'static str,
    help: &'static str,
    of: fn(&Known<'_>) -> u64,
) -> Family {
    let samples = |one: &Known<'_>| vec![Sample::total(Labels::new(), of(one))];
    Family::new(name, Type::Counter, help, summed(all, samples))
}

fn split(
    suffix: &'static str,
    label: &'static str,
    parts: [(&'static str, f64); 3],
) -> Vec<Sample> {
    let sample =
        |(part, value): (&'static str, f64)| Sample::new(suffix, vec![(label, part.into())], value);
    parts.map(sample).to_vec()
}

/// The samples of all pools, with their names.
fn summed(all: &[Known<'_>], of: impl Fn(&Known<'_>) -> Vec<Sample>) -> Vec<Sample> {
    let mut sums: BTreeMap<(&'static str, Labels), f64> = BTreeMap::new();
    for one in all {
        for sample in of(one) {
            let name = vec![("pool", one.name.to_owned().into())];
            let labels = [name, sample.labels].concat();
            *sums.entry((sample.suffix, labels)).or_default() += sample.value;
        }
    }
    let samples = sums.into_iter();
    samples
        .map(|((suffix, labels), value)| Sample::new(suffix, labels, value))
        .collect()
}

fn count(of: usize) -> f64 {
    number(u64::try_from(of).unwrap_or(u64::MAX))
}
