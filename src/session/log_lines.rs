//! The session's log lines: one for each change, written for somebody who is paged at night.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{error, info, warn};

use super::ConnectionInfo;
use crate::error::{ConnectError, Kind};
use crate::flight::Flight;
use crate::health::Watch;
use crate::log_target::{CONNECT, MONITOR};
use crate::preflight::{Role, StandIn};

/// Whose connection a line is about: the first words of it. Nothing for the process's own.
#[derive(Clone, Default)]
pub struct Whose {
    /// The name of the pool.
    pub(super) pool: Option<Arc<str>>,
    number: u64,
}

impl Whose {
    /// The connection of that number in the pool `name`.
    pub fn of(name: &Arc<str>, number: u64) -> Self {
        Self {
            pool: Some(Arc::clone(name)),
            number,
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pool {
            Some(pool) => write!(f, "pool {pool}, connection {}: ", self.number),
            None => Ok(()),
        }
    }
}

/// One line that says what this process is connected to, and where each part came from.
pub(super) fn connected(whose: &Whose, info: &ConnectionInfo, away_for: Option<Duration>) {
    let Some(target) = &info.target else { return };
    match &info.instead_of {
        Some(StandIn {
            role: Role::Fallback,
            cause,
        }) => warn!(
            target: CONNECT,
            "{whose}{} did not answer ({}); connected to {} instead",
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
        "{whose}{how} to Ray at {} ({}, address from {}), namespace {namespace} (from {}), in {:.0} ms{after}",
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

pub(super) fn shut_down_by_others(whose: &Whose, info: &ConnectionInfo) {
    info!(
        target: CONNECT,
        "{whose}other code has called ray.shutdown() and ended the connection to {}; the next call connects \
         again",
        info.address
    );
}

pub(super) fn cancelled(whose: &Whose, cause: &ConnectError) {
    info!(target: CONNECT, "{whose}{cause}");
}

pub(super) fn failed(whose: &Whose, cause: &ConnectError, flight: &Flight) {
    let took = flight.began.elapsed().as_secs_f64();
    let tries = match cause.attempts {
        0 | 1 => String::new(),
        n => format!(" Gave up after {n} attempts in {took:.1} s."),
    };
    if cause.kind == Kind::RayMissing {
        warn!(target: CONNECT, "{whose}{cause}");
    } else {
        error!(target: CONNECT, "{whose}{cause}{tries}");
    }
}

pub(super) fn unhealthy(whose: &Whose, cause: &ConnectError, left: Option<Duration>) {
    let next = match left {
        Some(left) => format!("lost in {:.0} s unless it answers", left.as_secs_f64()),
        None => "the connection is kept".to_owned(),
    };
    warn!(target: MONITOR, "{whose}unhealthy: {}; {next}", cause.message);
}

pub(super) fn recovered(whose: &Whose, info: &ConnectionInfo, after: Option<Duration>) {
    info!(
        target: MONITOR,
        "{whose}{} answers again after {:.1} s; the connection has held",
        info.address,
        after.unwrap_or_default().as_secs_f64()
    );
}

pub(super) fn lost(whose: &Whose, cause: &ConnectError, watch: &Watch) {
    let next = match (watch.releases(), watch.plan().reconnect) {
        (false, _) => "leaving Ray as it is (release=\"never\")",
        (true, true) => "releasing Ray, then connecting again when the cluster answers",
        (true, false) => "releasing Ray",
    };
    error!(target: MONITOR, "{whose}lost: {}; {next}", cause.message);
}

pub(super) fn released(whose: &Whose, info: &ConnectionInfo, reconnects: bool) {
    let next = if reconnects {
        "waiting for the cluster"
    } else {
        "not connecting again (reconnect=False)"
    };
    info!(target: MONITOR, "{whose}released Ray from {}; {next}", info.address);
}

pub(super) fn stranger(cause: &ConnectError) {
    error!(target: MONITOR, "{cause}");
}

pub(super) fn not_back(whose: &Whose, cause: &ConnectError) {
    error!(target: MONITOR, "{whose}cannot reconnect: {cause} Trying on, about every 5 s.");
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
