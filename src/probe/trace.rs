//! Runs the steps of one probe within its timeout, and records each of them.

use std::future::Future;

use tokio::time::{Instant, timeout};
use tracing::debug;

use super::causes;
use super::report::{Began, Step, Timeouts};
use super::server::Server;
use super::sniff::FirstBytes;
use crate::error::ConnectError;
use crate::log_target;

/// The steps of one probe. All of them together take no longer than its timeouts.
pub(super) struct Trace<'a> {
    pub server: &'a Server,
    /// What the server has sent on the connection in use.
    pub received: FirstBytes,
    began: Instant,
    timeouts: Timeouts,
    steps: Vec<Step>,
}

impl<'a> Trace<'a> {
    /// The timeouts start to run here.
    pub fn new(server: &'a Server, timeouts: impl Into<Timeouts>) -> Self {
        Self {
            server,
            received: FirstBytes::default(),
            began: Instant::now(),
            timeouts: timeouts.into(),
            steps: Vec::new(),
        }
    }

    /// Runs and records one step; `detail` describes a success. Also a DEBUG log event.
    ///
    /// # Errors
    /// Fails as `work` does, or with the cause of a timeout during the step `name`.
    pub async fn step<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<T, ConnectError>>,
        detail: impl FnOnce(&T) -> String,
    ) -> Result<T, ConnectError> {
        let began = Began::now();
        let result = self.within_timeout(name, work).await;
        self.record(began.ended(name, &result, detail));
        result
    }

    /// Runs the first part of a step that [`Self::step`] completes: only a failure is recorded.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub async fn first_part<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let began = Began::now();
        let result = self.within_timeout(name, work).await;
        if result.is_err() {
            self.record(began.ended(name, &result, |_| String::new()));
        }
        result
    }

    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    async fn within_timeout<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let bound = match name {
            "grpc" | "cluster" => self.timeouts.answer,
            _ => self.timeouts.open,
        };
        let left = bound.saturating_sub(self.began.elapsed());
        let Ok(result) = timeout(left, work).await else {
            let received = self.received.protocol();
            return Err(causes::timed_out(self.server, name, &received, bound));
        };
        result
    }

    fn record(&mut self, step: Step) {
        let (name, detail) = (step.name, &step.detail);
        let outcome = if step.ok { "ok" } else { "failed" };
        let took_ms = step.took.as_secs_f64() * 1e3;
        debug!(target: log_target::PROBE, "{name}: {detail} ({outcome}, {took_ms:.3} ms)");
        self.steps.push(step);
    }
}
