//! Everything that can be found out about a target, in the order in which it is met: hops with
//! verdicts, candidate by candidate, and one diagnosis. Looks only; connects and changes nothing.

mod diagnosis;
pub mod effective;
mod hops;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::address::RayAddress;
use crate::config::{ENV_RAY_ADDRESS, Kubernetes, Source};
use crate::error::ConnectError;
use crate::preflight::{self, Network, ProbePlan};
use crate::probe::{Facts, version};

pub use diagnosis::{Diagnosis, FAILED, OK};

/// What is known about this process itself.
#[derive(Clone, Debug)]
pub struct Here {
    /// The versions that Ray would compare; None when it is not installed.
    pub versions: Option<version::Local>,
    /// Why `seedcore.utils.ray_utils` is not ours, in a sentence, though nobody asked for that.
    pub not_served: Option<String>,
    /// Where it runs.
    pub kubernetes: Kubernetes,
    /// Whether a connect would try the fallbacks.
    pub may_fall_back: bool,
}

/// What became of a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It went well.
    Ok,
    /// It did not, and everything after it was not tried.
    Failed,
    /// Nothing had to be done, or it was not reached.
    Skipped,
}

impl Verdict {
    /// The public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// `local`, `token`, `dns`, `tcp`, `tls`, `grpc`, `cluster` or `versions`.
    pub name: &'static str,
    /// What became of it.
    pub verdict: Verdict,
    /// What was found, or why it was skipped; safe to show.
    pub detail: String,
    /// When it began and how long it took, if it was tried.
    pub timing: Option<(SystemTime, Duration)>,
}

/// One address, and how far one gets with it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// As it would be written.
    pub address: RayAddress,
    /// The address itself, or one that may stand in for it.
    pub is_fallback: bool,
    /// Every hop; none for one that was not tried.
    pub hops: Vec<Hop>,
    /// What its server said of itself.
    pub facts: Facts,
    /// What a connect would come to; None when it was not tried.
    pub result: Option<Result<(), ConnectError>>,
}

impl Candidate {
    /// The verdict on it as a whole.
    pub fn verdict(&self) -> Verdict {
        match &self.result {
            None => Verdict::Skipped,
            Some(Ok(())) => Verdict::Ok,
            Some(Err(_)) => Verdict::Failed,
        }
    }

    /// Why a connect would fail.
    pub fn cause(&self) -> Option<&ConnectError> {
        self.result.as_ref()?.as_ref().err()
    }

    /// Whether the hop `name` went well.
    fn passed(&self, name: &str) -> bool {
        let mut hops = self.hops.iter();
        hops.any(|hop| hop.name == name && hop.verdict == Verdict::Ok)
    }
}

/// The whole report.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The address itself first, then its fallbacks by priority.
    pub candidates: Vec<Candidate>,
    /// What it comes to.
    pub diagnosis: Diagnosis,
}

impl Examination {
    /// The report on an address that cannot be one.
    pub fn refused(error: &ConnectError) -> Self {
        Self {
            candidates: Vec::new(),
            diagnosis: Diagnosis::of(error),
        }
    }
}

/// Looks at the address and, where a connect might, at its fallbacks.
///
/// `probe_plan` holds the fallbacks also where the settings forbid them: that one of them would answer
/// is worth knowing.
pub async fn examine(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    here: &Here,
) -> Examination {
    let look = preflight::look(network.as_ref(), probe_plan, probe_plan.probe_timeout).await;
    let asked = hops::told(look, probe_plan, here, false);
    let may_help = |cause: &ConnectError| preflight::may_fall_back(cause.kind);
    let fallbacks = if asked.cause().is_some_and(may_help) {
        looked_at(network, probe_plan, here).await
    } else {
        let unneeded = probe_plan.fallbacks.iter().cloned();
        unneeded.map(hops::not_tried).collect()
    };
    let mut diagnosis = Diagnosis::from(&asked, &fallbacks, here);
    if diagnosis.kind.is_some()
        && let Some(local) = overridden(network.as_ref(), probe_plan).await
    {
        diagnosis.mention(&local);
    }
    Examination {
        candidates: [vec![asked], fallbacks].concat(),
        diagnosis,
    }
}

async fn looked_at(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    here: &Here,
) -> Vec<Candidate> {
    let (_probes, looks) = preflight::fallbacks(network, probe_plan, probe_plan.probe_timeout);
    let mut told = Vec::new();
    for look in looks {
        told.extend(
            look.await
                .map(|look| hops::told(look, probe_plan, here, true)),
        );
    }
    told
}

/// The Ray of this machine that `RAY_ADDRESS` keeps a process from.
async fn overridden(network: &dyn Network, probe_plan: &ProbePlan) -> Option<RayAddress> {
    let target = &probe_plan.target;
    if target.address_source != Source::Env(ENV_RAY_ADDRESS) || target.address.host_port().is_none()
    {
        return None;
    }
    let mut local = probe_plan.clone();
    local.target.address = RayAddress::Auto;
    let look = preflight::look(network, &local, probe_plan.probe_timeout).await;
    Some(look.result.ok()?.address)
}
