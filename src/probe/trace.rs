//! What is being asked and what was found so far: the steps, and the hop that is under way.

use std::future::Future;
use std::time::{Duration, Instant, SystemTime};

use super::sniff::Ear;
use super::{RayPort, Step};
use crate::address::HostPort;
use crate::error::{ConnectError, Kind};

/// One server as the messages name it.
#[derive(Clone, Debug)]
pub(super) struct Ask<'a> {
    /// Where to go.
    pub server: &'a HostPort,
    /// The address as its user wrote it: `ray://host:port` or `host:port`.
    pub shown: String,
}

impl<'a> Ask<'a> {
    /// `ray_port` decides the form in which the address is shown.
    pub fn new(server: &'a HostPort, ray_port: RayPort) -> Self {
        let shown = match ray_port {
            RayPort::Gcs => show(server),
            RayPort::Client => format!("ray://{}", show(server)),
        };
        Self { server, shown }
    }

    /// A failure whose message begins with the address.
    pub fn error(&self, kind: Kind, cause: &str, hint: impl Into<String>) -> ConnectError {
        ConnectError::new(kind, &self.shown, format!("{}: {cause}", self.shown), hint)
    }
}

/// `host:port`, an IPv6 literal in brackets.
pub(super) fn show(server: &HostPort) -> String {
    show_parts(&server.host, server.port)
}

/// As [`show`], for another port of the same host.
pub(super) fn show_parts(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The steps of one probe. It outlives the work, so that a probe which is cut off by its bound
/// can still tell how far it came.
pub(super) struct Trace {
    steps: Vec<Step>,
    under_way: Option<(&'static str, SystemTime, Instant)>,
    /// What the server has said on the connection in use.
    pub ear: Ear,
}

impl Trace {
    pub fn new() -> Self {
        Self {
            steps: Vec::new(),
            under_way: None,
            ear: Ear::default(),
        }
    }

    /// Runs one hop and reports it. `detail` puts a good result into words.
    pub async fn step<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<T, ConnectError>>,
        detail: impl FnOnce(&T) -> String,
    ) -> Result<T, ConnectError> {
        self.under_way = Some((name, SystemTime::now(), Instant::now()));
        let result = work.await;
        match &result {
            Ok(value) => self.finish(detail(value), true),
            Err(error) => self.finish(error.message.clone(), false),
        }
        result
    }

    /// Ends the hop that was under way when the bound struck.
    pub fn cut_off(&mut self, ask: &Ask<'_>, bound: Duration) -> ConnectError {
        let phase = self.under_way.map_or("start", |(name, ..)| name);
        let error = super::explain::timed_out(ask, phase, &self.ear, bound);
        self.finish(error.message.clone(), false);
        error
    }

    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    fn finish(&mut self, detail: String, ok: bool) {
        let Some((name, at, began)) = self.under_way.take() else {
            return;
        };
        let took = began.elapsed();
        tracing::debug!(
            step = name,
            ok,
            took_ms = took.as_secs_f64() * 1e3,
            "{name}: {detail}"
        );
        self.steps.push(Step {
            name,
            detail,
            at,
            took,
            ok,
        });
    }
}
