//! The sweep itself: which candidate is taken.

use std::sync::Arc;

use super::{
    Look, Network, Passed, ProbePlan, StandIn, look, may_fall_back, may_stand_by, side_by_side,
};
use crate::error::ConnectError;
use crate::probe::{LocalNode, Timeouts};

/// What a candidate needs to be taken.
#[derive(Clone, Copy)]
enum Need {
    /// It answers.
    Answer,
    /// A driver on this machine can use it.
    Use,
}

/// Probes the address itself, then the fallbacks if its failure allows them ([`may_fall_back`]), then
/// the standbys ([`may_stand_by`]).
///
/// # Errors
///
/// The cause of the address itself, whatever the others ended in.
pub async fn probe_candidates(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    timeouts: Timeouts,
    with_others: bool,
) -> Result<Passed, ConnectError> {
    first(network, probe_plan, timeouts, with_others, Need::Answer).await
}

/// As [`probe_candidates`]; a cluster that a native driver cannot use from this machine fails too.
///
/// # Errors
///
/// Those of [`probe_candidates`] and of [`LocalNode::check`].
pub async fn find_cluster(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    timeouts: Timeouts,
    with_others: bool,
) -> Result<Passed, ConnectError> {
    first(network, probe_plan, timeouts, with_others, Need::Use).await
}

async fn first(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    timeouts: Timeouts,
    with_others: bool,
    need: Need,
) -> Result<Passed, ConnectError> {
    let own = async {
        let passed = own_address(network, probe_plan, timeouts, with_others).await?;
        need.met(network, probe_plan, passed).await
    };
    let cause = match own.await {
        Ok(passed) => return Ok(passed),
        Err(cause) => cause,
    };
    if with_others && may_stand_by(cause.kind) {
        let (_probes, looks) = side_by_side(network, probe_plan, &probe_plan.standbys, timeouts);
        for look in looks {
            let Some(passed) = stand_in(look.await, &cause, StandIn::standby) else {
                continue;
            };
            if let Ok(passed) = need.met(network, probe_plan, passed).await {
                return Ok(passed);
            }
        }
    }
    Err(cause)
}

/// The address itself, or the first of its fallbacks that answers.
async fn own_address(
    network: &Arc<dyn Network>,
    probe_plan: &ProbePlan,
    timeouts: Timeouts,
    with_fallbacks: bool,
) -> Result<Passed, ConnectError> {
    let cause = match look(network.as_ref(), probe_plan, timeouts).await.result {
        Ok(passed) => return Ok(passed),
        Err(cause) => cause,
    };
    if with_fallbacks && may_fall_back(cause.kind) {
        let (_probes, looks) = side_by_side(network, probe_plan, &probe_plan.fallbacks, timeouts);
        for look in looks {
            if let Some(passed) = stand_in(look.await, &cause, StandIn::fallback) {
                return Ok(passed);
            }
        }
    }
    Err(cause)
}

/// What has passed in place of the address that `cause` keeps from being used.
fn stand_in<E>(
    look: Result<Look, E>,
    cause: &ConnectError,
    role: fn(ConnectError) -> StandIn,
) -> Option<Passed> {
    let passed = look.ok()?.result.ok()?;
    Some(Passed {
        instead_of: Some(role(cause.clone())),
        ..passed
    })
}

impl Need {
    async fn met(
        self,
        network: &Arc<dyn Network>,
        probe_plan: &ProbePlan,
        passed: Passed,
    ) -> Result<Passed, ConnectError> {
        if matches!(self, Self::Answer) {
            return Ok(passed);
        }
        let node = network.local_node(probe_plan, &passed).await;
        // `ray.init` waits for one that is starting, and Ray is imported meanwhile.
        let awaits_node = node == LocalNode::Starting;
        if !awaits_node {
            node.check(&passed.address.to_string())?;
        }
        Ok(Passed {
            awaits_node,
            ..passed
        })
    }
}
