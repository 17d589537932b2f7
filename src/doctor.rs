//! Examines a target the way a connect would: hop by hop, candidate by candidate, with one
//! diagnosis. It probes only; it connects and changes nothing.
//!
//! What serializes here is the JSON document of `seedcore-ray doctor` (docs/cli.md).

mod diagnosis;
pub mod effective;
mod hops;

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::address::RayAddress;
use crate::config::{ENV_RAY_ADDRESS, Kubernetes, Source};
use crate::error::ConnectError;
use crate::preflight::{self, Look, Network, ProbePlan, Role};
use crate::probe::{Facts, LocalNode, version};

pub use diagnosis::{Diagnosis, FAILED, OK};

/// What the doctor knows about its own process.
#[derive(Clone, Debug)]
pub struct Here {
    /// The versions that Ray would compare; None when Ray is not installed.
    pub versions: Option<version::Local>,
    /// Why the drop-in modules are not served by this package, unless that was asked for.
    pub not_served: Option<String>,
    /// The Kubernetes surroundings.
    pub kubernetes: Kubernetes,
    /// Whether a connect would try the fallbacks.
    pub may_fall_back: bool,
}

/// The outcome of a hop or of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It succeeded.
    Ok,
    /// It failed; the hops after it were not tried.
    Failed,
    /// It was not needed, or not reached.
    Skipped,
}

/// One hop on the way to a candidate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hop {
    /// `local`, `token`, `dns`, `tcp`, `tls`, `grpc`, `cluster` or `versions`.
    pub name: &'static str,
    /// Its outcome.
    pub verdict: Verdict,
    /// When it began, in seconds since the epoch; None if it was not tried.
    pub at: Option<f64>,
    /// How long it took, in seconds; None if it was not tried.
    pub took_s: Option<f64>,
    /// What was found, or why it was skipped; safe to show.
    pub detail: String,
}

/// An address that a connect would try, examined.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    /// The address.
    #[serde(serialize_with = "as_text")]
    pub address: RayAddress,
    /// Whether it is a fallback of the address that was asked for.
    pub is_fallback: bool,
    /// Whether it is another cluster, a standby.
    pub is_standby: bool,
    /// The outcome as a whole; [`Verdict::Skipped`] if it was not tried.
    pub verdict: Verdict,
    /// Every hop; empty if it was not tried.
    pub hops: Vec<Hop>,
    /// What its server reported about itself.
    #[serde(flatten)]
    pub facts: Facts,
    /// Why a connect would fail.
    pub error: Option<ConnectError>,
}

impl Candidate {
    /// Whether the hop `name` succeeded.
    fn passed(&self, name: &str) -> bool {
        let mut hops = self.hops.iter();
        hops.any(|hop| hop.name == name && hop.verdict == Verdict::Ok)
    }
}

fn as_text<S: Serializer>(address: &RayAddress, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Examination {
    /// The address itself first, then its fallbacks and the standbys by priority.
    pub candidates: Vec<Candidate>,
    /// The conclusion.
    pub diagnosis: Diagnosis,
}

impl Examination {
    /// The report on an address that is not valid.
    pub fn refused(error: &ConnectError) -> Self {
        Self {
            candidates: Vec::new(),
            diagnosis: Diagnosis::of(error),
        }
    }
}

/// Probes the address and, where a connect might try them, its fallbacks. The standbys are probed in
/// any case: one that is down is found out before it is needed.
///
/// `probe_plan` holds the fallbacks also where the settings forbid them: that one of them answers
/// is worth knowing.
pub async fn examine(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    here: &Here,
) -> Examination {
    let look = preflight::look(
        network.as_ref(),
        probe_plan,
        probe_plan.probe_timeout.into(),
    )
    .await;
    let node = node_of(network.as_ref(), probe_plan, &look).await;
    let asked = hops::candidate(look, &node, probe_plan, here, None);
    let may_help = |cause: &ConnectError| preflight::may_fall_back(cause.kind);
    let fallbacks = if asked.error.as_ref().is_some_and(may_help) {
        examine_fallbacks(network, probe_plan, here).await
    } else {
        let unneeded = probe_plan.fallbacks.iter().cloned();
        unneeded.map(hops::not_tried).collect()
    };
    let standbys = examine_standbys(network, probe_plan, here).await;
    let mut diagnosis = Diagnosis::from(&asked, &fallbacks, &standbys, here);
    if diagnosis.kind.is_some()
        && let Some(local) = overridden(network.as_ref(), probe_plan).await
    {
        diagnosis.mention(&local);
    }
    Examination {
        candidates: [vec![asked], fallbacks, standbys].concat(),
        diagnosis,
    }
}

async fn examine_fallbacks(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    here: &Here,
) -> Vec<Candidate> {
    let role = Some(Role::Fallback);
    let candidate = |look| hops::candidate(look, &LocalNode::Unknown, probe_plan, here, role);
    let looks = looks_at(network, probe_plan, &probe_plan.fallbacks).await;
    looks.into_iter().map(candidate).collect()
}

async fn examine_standbys(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    here: &Here,
) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for look in looks_at(network, probe_plan, &probe_plan.standbys).await {
        let node = node_of(network.as_ref(), probe_plan, &look).await;
        let role = Some(Role::Standby);
        candidates.push(hops::candidate(look, &node, probe_plan, here, role));
    }
    candidates
}

/// Looks at all of `addresses` at once.
async fn looks_at(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    addresses: &[RayAddress],
) -> Vec<Look> {
    let timeouts = probe_plan.probe_timeout.into();
    let (_probes, looks) = preflight::side_by_side(network, probe_plan, addresses, timeouts);
    let mut all = Vec::new();
    for look in looks {
        all.extend(look.await);
    }
    all
}

async fn node_of(network: &dyn Network, probe_plan: &ProbePlan, look: &Look) -> LocalNode {
    match &look.result {
        Ok(passed) => network.local_node(probe_plan, passed).await,
        Err(_) => LocalNode::Unknown,
    }
}

/// The Ray of this machine, if it answers and `RAY_ADDRESS` takes its place.
async fn overridden(network: &dyn Network, probe_plan: &ProbePlan) -> Option<RayAddress> {
    let target = &probe_plan.target;
    if target.address_source != Source::Env(ENV_RAY_ADDRESS) || target.address.host_port().is_none()
    {
        return None;
    }
    let mut local = probe_plan.clone();
    local.target.address = RayAddress::Auto;
    let look = preflight::look(network, &local, probe_plan.probe_timeout.into()).await;
    Some(look.result.ok()?.address)
}
