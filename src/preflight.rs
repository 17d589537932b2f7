//! One sweep over what a target may mean: the address itself, then its fallbacks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::debug;

use crate::address::{HostPort, RayAddress};
use crate::error::{ConnectError, Kind};
use crate::probe::local::LocalRay;
use crate::probe::{self, Credentials, Door, Facts, Report};
use crate::target::Target;

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The network as a sweep sees it. Real sockets in production; scripted in tests.
pub trait Network: Send + Sync + 'static {
    /// Probes one server within `timeout`.
    fn probe<'a>(
        &'a self,
        server: &'a HostPort,
        door: Door,
        credentials: &'a Credentials,
        timeout: Duration,
    ) -> BoxFuture<'a, Report>;

    /// One bare TCP connect.
    fn poke<'a>(
        &'a self,
        server: &'a HostPort,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), ConnectError>>;
}

/// The real network.
pub struct Sockets;

impl Network for Sockets {
    fn probe<'a>(
        &'a self,
        server: &'a HostPort,
        door: Door,
        credentials: &'a Credentials,
        timeout: Duration,
    ) -> BoxFuture<'a, Report> {
        Box::pin(probe::probe(server, door, credentials, timeout))
    }

    fn poke<'a>(
        &'a self,
        server: &'a HostPort,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), ConnectError>> {
        Box::pin(probe::tcp_open(server, timeout))
    }
}

/// What a sweep needs to know, read once while attached to the interpreter.
#[derive(Clone)]
pub struct Survey {
    /// What was asked for.
    pub target: Target,
    /// Other addresses that may stand in, by priority.
    pub fallbacks: Vec<RayAddress>,
    /// How `auto` looks for a Ray on this machine.
    pub find_local: Arc<dyn Fn() -> Result<LocalRay, ConnectError> + Send + Sync>,
    /// Token and certificates for an explicit address.
    pub credentials: Credentials,
    /// Token and certificates for `auto`, where newer Ray is more generous.
    pub local_credentials: Credentials,
    /// Bound of one probe.
    pub probe_timeout: Duration,
}

/// A passed preflight: what to hand to `ray.init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The address that answered; for `auto` the one that was found.
    pub address: RayAddress,
    /// `ray.init(address=...)`; shown, it is what Ray takes.
    pub init_address: RayAddress,
    /// Set when a fallback answered in place of what was asked for.
    pub instead_of: Option<ConnectError>,
    /// What the server said of itself.
    pub facts: Facts,
}

impl Survey {
    /// How many rounds of probes one sweep can take: the address, then its fallbacks.
    pub fn rounds(&self) -> u32 {
        1 + u32::from(!self.fallbacks.is_empty())
    }

    /// The longest that one sweep takes.
    pub fn sweep_bound(&self) -> Duration {
        self.probe_timeout.saturating_mul(self.rounds())
    }

    /// The server whose port is worth poking while it refuses; `auto` has none.
    pub fn server(&self) -> Option<&HostPort> {
        server_of(&self.target.address).map(|(server, _)| server)
    }
}

/// Sweeps once: the address itself, then, if time may cure its failure, the fallbacks.
///
/// The cause reported is that of the address itself.
pub async fn sweep(
    network: &Arc<dyn Network>,
    survey: &Survey,
    timeout: Duration,
    with_fallbacks: bool,
) -> Result<Passed, ConnectError> {
    let cause = match first(network.as_ref(), survey, timeout).await {
        Ok(passed) => return Ok(passed),
        Err(cause) => cause,
    };
    // "Nothing given, no local Ray" is the one lasting cause that fallbacks are for.
    let may_fall_back = cause.kind.is_transient() || cause.kind == Kind::NoLocalRay;
    if with_fallbacks && may_fall_back && !survey.fallbacks.is_empty() {
        let found = first_by_priority(network, survey, timeout).await;
        if let Some((address, facts)) = found {
            return Ok(Passed {
                init_address: address.clone(),
                address,
                instead_of: Some(cause),
                facts,
            });
        }
    }
    Err(cause)
}

async fn first(
    network: &dyn Network,
    survey: &Survey,
    timeout: Duration,
) -> Result<Passed, ConnectError> {
    let asked = &survey.target.address;
    match (asked, server_of(asked)) {
        (RayAddress::Auto, _) => auto(network, survey, timeout).await,
        (_, Some((server, door))) => {
            let report = network
                .probe(server, door, &survey.credentials, timeout)
                .await;
            report.result.map(|facts| passed(asked.clone(), facts))
        }
        (_, None) => Ok(passed(asked.clone(), Facts::default())),
    }
}

fn passed(address: RayAddress, facts: Facts) -> Passed {
    Passed {
        init_address: address.clone(),
        address,
        instead_of: None,
        facts,
    }
}

async fn auto(
    network: &dyn Network,
    survey: &Survey,
    timeout: Duration,
) -> Result<Passed, ConnectError> {
    let local = (survey.find_local)()?;
    debug!("auto means {} ({:?})", local.address, local.source);
    let report = network
        .probe(
            &local.address,
            Door::Gcs,
            &survey.local_credentials,
            timeout,
        )
        .await;
    let facts = report.result.map_err(|cause| local.explain(cause))?;
    let address = RayAddress::Gcs(local.address);
    // Ray is given its own `auto` where that can only mean the same cluster: Ray 2.59 and up
    // loads a token file for `auto` alone.
    let init_address = if local.ambiguous {
        address.clone()
    } else {
        RayAddress::Auto
    };
    Ok(Passed {
        init_address,
        address,
        instead_of: None,
        facts,
    })
}

/// Probes all fallbacks side by side and takes the first by priority, not by speed.
async fn first_by_priority(
    network: &Arc<dyn Network>,
    survey: &Survey,
    timeout: Duration,
) -> Option<(RayAddress, Facts)> {
    let mut probes = JoinSet::new();
    for (rank, address) in survey.fallbacks.iter().cloned().enumerate() {
        let network = Arc::clone(network);
        let credentials = survey.credentials.clone();
        probes.spawn(async move {
            let facts = match server_of(&address) {
                Some((server, door)) => network
                    .probe(server, door, &credentials, timeout)
                    .await
                    .result
                    .ok(),
                None => None,
            };
            (rank, facts.map(|facts| (address, facts)))
        });
    }
    let mut answers: Vec<Option<(RayAddress, Facts)>> = vec![None; survey.fallbacks.len()];
    let mut decided = vec![false; answers.len()];
    while let Some(joined) = probes.join_next().await {
        let Ok((rank, answer)) = joined else { continue };
        answers[rank] = answer;
        decided[rank] = true;
        // Taken as soon as everything of a higher priority has failed.
        let best = answers.iter().position(Option::is_some);
        if let Some(best) = best
            && decided[..best].iter().all(|&failed| failed)
        {
            return answers.swap_remove(best);
        }
    }
    // Only where a probe of a higher priority panicked.
    answers.into_iter().flatten().next()
}

/// The server that an address names, and which of Ray's ports it has to be.
fn server_of(address: &RayAddress) -> Option<(&HostPort, Door)> {
    match address {
        RayAddress::Gcs(server) => Some((server, Door::Gcs)),
        RayAddress::Client(server) => Some((server, Door::Client)),
        RayAddress::Auto | RayAddress::Local => None,
    }
}
