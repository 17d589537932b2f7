//! The session's log lines: one for each change, for somebody who is paged at night.

use std::time::Duration;

use tracing::{error, info, warn};

use super::ConnectionInfo;
use crate::error::{ConnectError, Kind};
use crate::flight::Flight;
use crate::health::Watch;

/// One line that says what we are connected to, and where each part came from.
pub(super) fn connected(live: &ConnectionInfo, away_for: Option<Duration>) {
    let Some(target) = &live.target else { return };
    if let Some(cause) = &live.instead_of {
        warn!(
            "{} did not answer ({}); connected to {} instead",
            target.address, cause.message, live.address
        );
    }
    let namespace = live.namespace.as_deref().unwrap_or("(anonymous)");
    let (how, after) = match away_for {
        Some(away_for) => {
            let seconds = away_for.as_secs_f64();
            (
                "reconnected",
                format!(" after {seconds:.1} s away; handles and refs made before are dead"),
            )
        }
        None => ("connected", String::new()),
    };
    info!(
        "{how} to Ray at {} ({}, address from {}), namespace {namespace} (from {}), in {:.0} ms{after}",
        live.address,
        live.mode.as_str(),
        target.address_source.as_str(),
        target.namespace_source.as_str(),
        live.took.as_secs_f64() * 1e3,
    );
}

pub(super) fn failed(cause: &ConnectError, flight: &Flight) {
    let took = flight.began.elapsed().as_secs_f64();
    let tries = match cause.attempts {
        0 | 1 => String::new(),
        n => format!(" Gave up after {n} attempts in {took:.1} s."),
    };
    if cause.kind == Kind::RayMissing {
        warn!("{cause}");
    } else {
        error!("{cause}{tries}");
    }
}

pub(super) fn unhealthy(cause: &ConnectError, watch: &Watch) {
    let next = match watch.hope() {
        Some(left) => format!("lost in {:.0} s unless it answers", left.as_secs_f64()),
        None => "the connection is kept".to_owned(),
    };
    warn!("unhealthy: {}; {next}", cause.message);
}

pub(super) fn recovered(live: &ConnectionInfo, after: Option<Duration>) {
    let after = after.unwrap_or_default().as_secs_f64();
    info!(
        "{} answers again after {after:.1} s; the connection has held",
        live.address
    );
}

pub(super) fn lost(cause: &ConnectError, watch: &Watch) {
    let next = match (watch.releases(), watch.plan().reconnect) {
        (false, _) => "leaving Ray as it is (release=\"never\")",
        (true, true) => "releasing Ray, then connecting again when the cluster answers",
        (true, false) => "releasing Ray",
    };
    error!("lost: {}; {next}", cause.message);
}

pub(super) fn released(live: &ConnectionInfo, reconnects: bool) {
    let next = if reconnects {
        "waiting for the cluster"
    } else {
        "not connecting again (reconnect=False)"
    };
    info!("released Ray from {}; {next}", live.address);
}

pub(super) fn not_back(cause: &ConnectError) {
    error!("cannot reconnect: {cause} Trying on, about every 5 s.");
}
