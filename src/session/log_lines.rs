//! The session's log lines: one for each change, written for somebody who is paged at night.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::{error, info, warn};

use super::ConnectionInfo;
use crate::error::{ConnectError, Kind};
use crate::flight::Flight;
use crate::health::Watch;
use crate::log_target::{CONNECT, MONITOR};
use crate::preflight::{Role, StandIn};

/// One line that says what this process is connected to, and where each part came from.
pub(super) fn connected(info: &ConnectionInfo, away_for: Option<Duration>) {
    let Some(target) = &info.target else { return };
    match &info.instead_of {
        Some(StandIn {
            role: Role::Fallback,
            cause,
        }) => warn!(
            target: CONNECT,
            "{} did not answer ({}); connected to {} instead",
            target.address, cause.message, info.address
        ),
        Some(StandIn {
            role: Role::Standby,
            cause,
        }) => warn!(
            target: CONNECT,
            "{} cannot be used ({}); connected to the standby {} instead, and staying there until \
             that is lost or force_reinit=True",
            target.address, cause.message, info.address
        ),
        None => {}
    }
    let namespace = info.namespace.as_deref().unwrap_or("(anonymous)");
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
        target: CONNECT,
        "{how} to Ray at {} ({}, address from {}), namespace {namespace} (from {}), in {:.0} ms{after}",
        info.address,
        info.mode.as_str(),
        target.address_source.as_str(),
        target.namespace_source.as_str(),
        info.took.as_secs_f64() * 1e3,
    );
}

pub(super) fn adopted(info: &ConnectionInfo) {
    info!(
        target: CONNECT,
        "found Ray connected by someone else ({}), using that connection", info.address
    );
}

pub(super) fn shut_down_by_others(info: &ConnectionInfo) {
    info!(
        target: CONNECT,
        "other code has called ray.shutdown() and ended the connection to {}; the next call connects \
         again",
        info.address
    );
}

pub(super) fn cancelled(cause: &ConnectError) {
    info!(target: CONNECT, "{cause}");
}

pub(super) fn failed(cause: &ConnectError, flight: &Flight) {
    let took = flight.began.elapsed().as_secs_f64();
    let tries = match cause.attempts {
        0 | 1 => String::new(),
        n => format!(" Gave up after {n} attempts in {took:.1} s."),
    };
    if cause.kind == Kind::RayMissing {
        warn!(target: CONNECT, "{cause}");
    } else {
        error!(target: CONNECT, "{cause}{tries}");
    }
}

pub(super) fn unhealthy(cause: &ConnectError, left: Option<Duration>) {
    let next = match left {
        Some(left) => format!("lost in {:.0} s unless it answers", left.as_secs_f64()),
        None => "the connection is kept".to_owned(),
    };
    warn!(target: MONITOR, "unhealthy: {}; {next}", cause.message);
}

pub(super) fn recovered(info: &ConnectionInfo, after: Option<Duration>) {
    info!(
        target: MONITOR,
        "{} answers again after {:.1} s; the connection has held",
        info.address,
        after.unwrap_or_default().as_secs_f64()
    );
}

pub(super) fn lost(cause: &ConnectError, watch: &Watch) {
    let next = match (watch.releases(), watch.plan().reconnect) {
        (false, _) => "leaving Ray as it is (release=\"never\")",
        (true, true) => "releasing Ray, then connecting again when the cluster answers",
        (true, false) => "releasing Ray",
    };
    error!(target: MONITOR, "lost: {}; {next}", cause.message);
}

pub(super) fn released(info: &ConnectionInfo, reconnects: bool) {
    let next = if reconnects {
        "waiting for the cluster"
    } else {
        "not connecting again (reconnect=False)"
    };
    info!(target: MONITOR, "released Ray from {}; {next}", info.address);
}

pub(super) fn stranger(cause: &ConnectError) {
    error!(target: MONITOR, "{cause}");
}

pub(super) fn not_back(cause: &ConnectError) {
    error!(target: MONITOR, "cannot reconnect: {cause} Trying on, about every 5 s.");
}

/// How many different messages are logged once each. More than a service has; some of them name what
/// a caller passed.
const DIFFERENT: usize = 256;

/// Messages that are logged once in a process.
#[derive(Default)]
pub struct LogOnce(Mutex<HashSet<String>>);

impl LogOnce {
    /// Whether `message` is new; from now on it is not. False for all after the first `DIFFERENT`.
    pub fn is_first(&self, message: &str) -> bool {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logged.len() < DIFFERENT && logged.insert(message.to_owned())
    }

    /// Logs `message` as a warning, unless it has been logged before.
    pub fn warn(&self, message: &str) {
        if self.is_first(message) {
            warn!(target: CONNECT, "{message}");
        }
    }
}
