//! One sweep over the candidates of a target: the address itself, its fallbacks, the standbys.

mod stand_in;
mod sweep;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::debug;

use crate::address::{HostPort, RayAddress};
use crate::config::{Env, Kubernetes};
use crate::error::ConnectError;
use crate::log_target;
use crate::platform;
use crate::probe::local::LocalRay;
use crate::probe::{self, Credentials, Facts, Given, LocalNode, RayPort, Report, Step, Timeouts};
use crate::target::Target;
pub use stand_in::{Role, StandIn, may_fall_back, may_stand_by};
pub use sweep::{find_cluster, probe_candidates};

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The network that a sweep uses. Real sockets in production, scripted in tests.
pub trait Network: Send + Sync + 'static {
    /// Probes one server within `timeouts`.
    fn probe<'a>(
        &'a self,
        server: &'a HostPort,
        ray_port: RayPort,
        credentials: &'a Credentials,
        timeouts: Timeouts,
    ) -> BoxFuture<'a, Report>;

    /// Makes one bare TCP connect to the server of the target, on the way that a probe takes.
    fn poke<'a>(&'a self, probe_plan: &'a ProbePlan) -> BoxFuture<'a, Result<(), ConnectError>>;

    /// Looks for a raylet of the cluster that has `passed` on this machine.
    fn local_node<'a>(
        &'a self,
        probe_plan: &'a ProbePlan,
        passed: &'a Passed,
    ) -> BoxFuture<'a, LocalNode>;
}

/// The real network.
pub struct Sockets;

impl Network for Sockets {
    fn probe<'a>(
        &'a self,
        server: &'a HostPort,
        ray_port: RayPort,
        credentials: &'a Credentials,
        timeouts: Timeouts,
    ) -> BoxFuture<'a, Report> {
        Box::pin(probe::probe(server, ray_port, credentials, timeouts))
    }

    fn poke<'a>(&'a self, probe_plan: &'a ProbePlan) -> BoxFuture<'a, Result<(), ConnectError>> {
        let (way, timeout) = (&probe_plan.credentials.way, probe_plan.probe_timeout);
        match server_of(&probe_plan.target.address) {
            Some((server, ray_port)) => Box::pin(probe::tcp_open(server, ray_port, way, timeout)),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn local_node<'a>(
        &'a self,
        probe_plan: &'a ProbePlan,
        passed: &'a Passed,
    ) -> BoxFuture<'a, LocalNode> {
        let credentials = match (&probe_plan.target.address, &passed.instead_of) {
            (RayAddress::Auto, None) => &probe_plan.local_credentials,
            _ => &probe_plan.credentials,
        };
        match server_of(&passed.address) {
            Some((server, RayPort::Gcs)) => Box::pin(probe::local_node(
                server,
                credentials,
                probe_plan.probe_timeout,
                &passed.facts,
            )),
            _ => Box::pin(std::future::ready(LocalNode::Unknown)),
        }
    }
}

/// The candidates of a sweep and what it needs to probe them. Read once while attached to the
/// interpreter.
#[derive(Clone)]
pub struct ProbePlan {
    /// The target that was asked for.
    pub target: Target,
    /// Other addresses that may replace its address, by priority.
    pub fallbacks: Vec<RayAddress>,
    /// Other clusters that may replace its cluster, by priority ([`ProbePlan::with_standbys`]).
    pub standbys: Vec<RayAddress>,
    /// Finds the Ray of this machine, for `auto`.
    pub find_local: Arc<dyn Fn() -> Result<LocalRay, ConnectError> + Send + Sync>,
    /// Token and TLS files for an explicit address.
    pub credentials: Credentials,
    /// Token and TLS files for `auto`, where newer Ray also loads a token without `RAY_AUTH_MODE`.
    pub local_credentials: Credentials,
    /// Timeout of one probe.
    pub probe_timeout: Duration,
}

/// The outcome of probing one candidate.
#[derive(Clone, Debug)]
pub struct Look {
    /// The candidate, in the form that was asked for.
    pub address: RayAddress,
    /// Every step, in order.
    pub steps: Vec<Step>,
    /// What to pass to `ray.init`, or the cause of the failure.
    pub result: Result<Passed, ConnectError>,
}

/// A successful preflight: what to pass to `ray.init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The address that answered; for `auto`, the one that was found.
    pub address: RayAddress,
    /// The argument of `ray.init(address=...)`; its canonical form is one that Ray accepts.
    pub init_address: RayAddress,
    /// Set when another address answered in place of the one that was asked for.
    pub instead_of: Option<StandIn>,
    /// What the server reported about itself.
    pub facts: Facts,
    /// The node that a native driver needs is still starting: `ray.init` waits for it.
    pub awaits_node: bool,
}

impl ProbePlan {
    /// Reads the environment for `target`, while attached to the interpreter as [`Env::Process`]
    /// requires. The address file and the processes are read only when `auto` is probed.
    ///
    /// `given` is what `ray.init` gets for the way to Ray.
    pub fn from_env(
        target: Target,
        env: &Env,
        probe_timeout: Duration,
        fallbacks: bool,
        given: Given,
    ) -> Self {
        let variables = env.snapshot();
        let temp_dir = given.temp_dir.clone();
        Self {
            fallbacks: if fallbacks {
                target.fallbacks(&Kubernetes::from_env(env))
            } else {
                Vec::new()
            },
            standbys: Vec::new(),
            target,
            find_local: Arc::new(move || {
                probe::local::find(platform::here(), &variables, temp_dir.as_deref())
            }),
            credentials: Credentials::from_env(env, false).with(given),
            local_credentials: Credentials::from_env(env, true),
            probe_timeout,
        }
    }

    /// With the standbys of `given` that are none of the target's own addresses. Also without
    /// fallbacks: those are guessed, these are given.
    #[must_use]
    pub fn with_standbys(self, given: &[RayAddress]) -> Self {
        let mut standbys = self.target.standbys(given);
        standbys.retain(|address| !self.fallbacks.contains(address));
        Self { standbys, ..self }
    }

    /// Maximum number of rounds in one sweep: the address, then all fallbacks at once, then all
    /// standbys at once.
    pub fn rounds(&self) -> u32 {
        1 + u32::from(!self.fallbacks.is_empty()) + u32::from(!self.standbys.is_empty())
    }

    /// The longest time that one sweep takes.
    pub fn sweep_bound(&self) -> Duration {
        self.probe_timeout.saturating_mul(self.rounds())
    }

    /// Whether there is a server to poll by TCP while it refuses connections; `auto` has none.
    pub fn has_server(&self) -> bool {
        server_of(&self.target.address).is_some()
    }
}

/// Probes the address itself.
pub async fn look(network: &dyn Network, probe_plan: &ProbePlan, timeouts: Timeouts) -> Look {
    match &probe_plan.target.address {
        RayAddress::Auto => auto(network, probe_plan, timeouts).await,
        address => look_at(network, address, &probe_plan.credentials, timeouts).await,
    }
}

async fn look_at(
    network: &dyn Network,
    address: &RayAddress,
    credentials: &Credentials,
    timeouts: Timeouts,
) -> Look {
    let report = match server_of(address) {
        Some((server, ray_port)) => network.probe(server, ray_port, credentials, timeouts).await,
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
            awaits_node: false,
        }),
    }
}

async fn auto(network: &dyn Network, probe_plan: &ProbePlan, timeouts: Timeouts) -> Look {
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
    debug!(target: log_target::PROBE, "auto means {local}");
    let address = RayAddress::Gcs(local.address.clone());
    let mut look = look_at(network, &address, &probe_plan.local_credentials, timeouts).await;
    look.address = RayAddress::Auto;
    look.steps.insert(0, step);
    look.result = look.result.map_err(|cause| local.explain(cause));
    if let Ok(passed) = &mut look.result
        && !local.ambiguous
    {
        // Ray gets its own `auto` where that can only mean the same cluster: Ray 2.59 and newer
        // loads a token file for `auto` alone.
        passed.init_address = RayAddress::Auto;
    }
    look
}

/// Probes `addresses` concurrently. Awaiting the looks in order takes the first success by priority
/// and not by speed; a look whose probe panicked is an error. Dropping the set ends the probes.
pub fn side_by_side(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    addresses: &[RayAddress],
    timeouts: Timeouts,
) -> (JoinSet<()>, Vec<oneshot::Receiver<Look>>) {
    let mut probes = JoinSet::new();
    let mut looks = Vec::new();
    for address in addresses {
        let (network, address) = (Arc::clone(network), address.clone());
        let credentials = probe_plan.credentials.clone();
        let (done, look) = oneshot::channel();
        looks.push(look);
        probes.spawn(async move {
            let _ = done.send(look_at(network.as_ref(), &address, &credentials, timeouts).await);
        });
    }
    (probes, looks)
}

/// The server that an address names, and which of Ray's ports it must be.
fn server_of(address: &RayAddress) -> Option<(&HostPort, RayPort)> {
    match address {
        RayAddress::Gcs(server) => Some((server, RayPort::Gcs)),
        RayAddress::Client(server) => Some((server, RayPort::Client)),
        RayAddress::Auto | RayAddress::Local | RayAddress::Module(_) => None,
    }
}
