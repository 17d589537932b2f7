//! One sweep over what a target may mean: the address itself, then its fallbacks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::debug;

use crate::address::{HostPort, RayAddress};
use crate::config::{Env, Kubernetes};
use crate::error::{ConnectError, Kind};
use crate::probe::local::LocalRay;
use crate::probe::{self, Credentials, Facts, RayPort, Report, Step};
use crate::target::Target;

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The network as a sweep sees it. Real sockets in production; scripted in tests.
pub trait Network: Send + Sync + 'static {
    /// Probes one server within `timeout`.
    fn probe<'a>(
        &'a self,
        server: &'a HostPort,
        ray_port: RayPort,
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
        ray_port: RayPort,
        credentials: &'a Credentials,
        timeout: Duration,
    ) -> BoxFuture<'a, Report> {
        Box::pin(probe::probe(server, ray_port, credentials, timeout))
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
pub struct ProbePlan {
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

/// One candidate, looked at.
#[derive(Clone, Debug)]
pub struct Look {
    /// The candidate, in the form it was asked for in.
    pub address: RayAddress,
    /// Every hop, in order.
    pub steps: Vec<Step>,
    /// What to hand to `ray.init`, or the cause.
    pub result: Result<Passed, ConnectError>,
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

impl ProbePlan {
    /// What the surroundings say about `target`. Read it while attached to the interpreter, as
    /// [`Env::Process`]; the address file and `/proc` are read late.
    pub fn from_env(target: Target, env: &Env, probe_timeout: Duration, fallbacks: bool) -> Self {
        let variables = env.snapshot();
        Self {
            fallbacks: if fallbacks {
                target.fallbacks(&Kubernetes::from_env(env))
            } else {
                Vec::new()
            },
            target,
            find_local: Arc::new(move || probe::local::find(&variables, None)),
            credentials: Credentials::from_env(env, false),
            local_credentials: Credentials::from_env(env, true),
            probe_timeout,
        }
    }

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
pub async fn probe_candidates(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    timeout: Duration,
    with_fallbacks: bool,
) -> Result<Passed, ConnectError> {
    let cause = match look(network.as_ref(), probe_plan, timeout).await.result {
        Ok(passed) => return Ok(passed),
        Err(cause) => cause,
    };
    if with_fallbacks && may_fall_back(cause.kind) && !probe_plan.fallbacks.is_empty() {
        let found = first_by_priority(network, probe_plan, timeout).await;
        if let Some(passed) = found {
            return Ok(Passed {
                instead_of: Some(cause),
                ..passed
            });
        }
    }
    Err(cause)
}

/// Whether other addresses may be tried after this failure.
///
/// "Nothing given, no local Ray" is the one lasting cause that fallbacks are for.
pub fn may_fall_back(kind: Kind) -> bool {
    kind.is_transient() || kind == Kind::NoLocalRay
}

/// Looks at the address itself.
pub async fn look(network: &dyn Network, probe_plan: &ProbePlan, timeout: Duration) -> Look {
    match &probe_plan.target.address {
        RayAddress::Auto => auto(network, probe_plan, timeout).await,
        address => look_at(network, address, &probe_plan.credentials, timeout).await,
    }
}

async fn look_at(
    network: &dyn Network,
    address: &RayAddress,
    credentials: &Credentials,
    timeout: Duration,
) -> Look {
    let report = match server_of(address) {
        Some((server, ray_port)) => network.probe(server, ray_port, credentials, timeout).await,
        None => Report {
            steps: Vec::new(),
            result: Ok(Facts::default()),
        },
    };
    Look {
        address: address.clone(),
        steps: report.steps,
        result: report.result.map(|facts| Passed {
            init_address: address.clone(),
            address: address.clone(),
            instead_of: None,
            facts,
        }),
    }
}

async fn auto(network: &dyn Network, probe_plan: &ProbePlan, timeout: Duration) -> Look {
    let (step, found) = Step::measure("local", || (probe_plan.find_local)(), LocalRay::to_string);
    let local = match found {
        Ok(local) => local,
        Err(cause) => {
            return Look {
                address: RayAddress::Auto,
                steps: vec![step],
                result: Err(cause),
            };
        }
    };
    debug!("auto means {} ({:?})", local.address, local.source);
    let address = RayAddress::Gcs(local.address.clone());
    let mut look = look_at(network, &address, &probe_plan.local_credentials, timeout).await;
    look.address = RayAddress::Auto;
    look.steps.insert(0, step);
    look.result = look.result.map_err(|cause| local.explain(cause));
    if let Ok(passed) = &mut look.result
        && !local.ambiguous
    {
        // Ray is given its own `auto` where that can only mean the same cluster: Ray 2.59 and
        // up loads a token file for `auto` alone.
        passed.init_address = RayAddress::Auto;
    }
    look
}

/// Looks at all fallbacks side by side; each comes with its priority.
pub fn fallbacks(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    timeout: Duration,
) -> JoinSet<(usize, Look)> {
    let mut looks = JoinSet::new();
    for (rank, address) in probe_plan.fallbacks.iter().cloned().enumerate() {
        let network = Arc::clone(network);
        let credentials = probe_plan.credentials.clone();
        looks.spawn(async move {
            let look = look_at(network.as_ref(), &address, &credentials, timeout).await;
            (rank, look)
        });
    }
    looks
}

/// Takes the first of the fallbacks by priority, not by speed.
async fn first_by_priority(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    timeout: Duration,
) -> Option<Passed> {
    let mut looks = fallbacks(network, probe_plan, timeout);
    let mut answers: Vec<Option<Passed>> = vec![None; probe_plan.fallbacks.len()];
    let mut decided = vec![false; answers.len()];
    while let Some(joined) = looks.join_next().await {
        let Ok((rank, look)) = joined else { continue };
        answers[rank] = look.result.ok();
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
fn server_of(address: &RayAddress) -> Option<(&HostPort, RayPort)> {
    match address {
        RayAddress::Gcs(server) => Some((server, RayPort::Gcs)),
        RayAddress::Client(server) => Some((server, RayPort::Client)),
        RayAddress::Auto | RayAddress::Local => None,
    }
}
