//! From the steps of a probe to the full list of hops, with those that were not tried, and why.

use std::time::UNIX_EPOCH;

use super::{Candidate, Here, Hop, Verdict};
use crate::address::RayAddress;
use crate::error::ConnectError;
use crate::preflight::{Look, ProbePlan, Role};
use crate::probe::{AuthMode, Credentials, Facts, LocalNode, Step, version};

const HOPS: [&str; 6] = ["token", "dns", "tcp", "tls", "grpc", "cluster"];

/// A probed address with all its hops. Ray's own comparison of versions counts as one more hop.
pub(super) fn candidate(
    look: Look,
    node: &LocalNode,
    probe_plan: &ProbePlan,
    here: &Here,
    role: Option<Role>,
) -> Candidate {
    let credentials = match look.address {
        RayAddress::Auto => &probe_plan.local_credentials,
        _ => &probe_plan.credentials,
    };
    let mut hops = network_hops(&look, credentials);
    let (facts, failure) = match look.result {
        Ok(passed) => (passed.facts, None),
        Err(cause) => (Facts::default(), Some(cause)),
    };
    let missing = node.check(&look.address.to_string()).err();
    hops.extend(local_node(node, missing.as_ref()));
    let (versions, mismatch) = compare(&look.address, &facts, failure.is_none(), here);
    hops.push(versions);
    // A failure on the way comes first.
    let error = failure.or(missing).or(mismatch);
    Candidate {
        verdict: verdict(error.is_none()),
        address: look.address,
        is_fallback: role == Some(Role::Fallback),
        is_standby: role == Some(Role::Standby),
        hops,
        facts,
        error,
    }
}

/// Whether a native driver finds a node on this machine. No hop of a Ray Client.
fn local_node(node: &LocalNode, missing: Option<&ConnectError>) -> Option<Hop> {
    let (verdict, detail) = match (node, missing) {
        (LocalNode::Unknown, _) => return None,
        (LocalNode::Here { node, of }, _) => {
            let detail = format!("{node} is on this machine, one of {of} nodes");
            (Verdict::Ok, detail)
        }
        (_, Some(cause)) => (Verdict::Failed, cause.message.clone()),
        (_, None) => return None,
    };
    Some(untimed("node", verdict, detail))
}

/// A fallback that is not needed.
pub(super) fn not_tried(address: RayAddress) -> Candidate {
    Candidate {
        address,
        is_fallback: true,
        is_standby: false,
        verdict: Verdict::Skipped,
        hops: Vec::new(),
        facts: Facts::default(),
        error: None,
    }
}

fn verdict(ok: bool) -> Verdict {
    if ok { Verdict::Ok } else { Verdict::Failed }
}

fn network_hops(look: &Look, credentials: &Credentials) -> Vec<Hop> {
    if matches!(look.address, RayAddress::Local | RayAddress::Module(_)) {
        return Vec::new();
    }
    let prefix = format!("{}: ", look.address);
    let tried = |step: &Step| Hop {
        name: step.name,
        verdict: verdict(step.ok),
        at: step
            .at
            .duration_since(UNIX_EPOCH)
            .ok()
            .map(|at| at.as_secs_f64()),
        took_s: Some(step.took.as_secs_f64()),
        // The report names the candidate above its hops.
        detail: step.detail.trim_start_matches(&prefix).to_owned(),
    };
    let local = look.steps.iter().filter(|step| step.name == "local");
    let others = HOPS.iter().map(|&name| {
        let step = look.steps.iter().find(|step| step.name == name);
        step.map_or_else(|| missing(name, look, credentials), tried)
    });
    local.map(tried).chain(others).collect()
}

fn untimed(name: &'static str, verdict: Verdict, detail: impl Into<String>) -> Hop {
    Hop {
        name,
        verdict,
        at: None,
        took_s: None,
        detail: detail.into(),
    }
}

fn missing(name: &'static str, look: &Look, credentials: &Credentials) -> Hop {
    let is_client = matches!(look.address, RayAddress::Client(_));
    let skipped = |why: &str| untimed(name, Verdict::Skipped, why);
    match name {
        "token" if credentials.mode != AuthMode::Token => skipped(&credentials.about_token()),
        "tls" if credentials.tls.is_none() => skipped("RAY_USE_TLS is not set"),
        "cluster" if is_client => skipped("Ray Client tells no versions and no cluster id"),
        _ => skipped("not reached"),
    }
}

/// The versions on both sides, and Ray's refusal of them.
fn compare(
    address: &RayAddress,
    facts: &Facts,
    reached: bool,
    here: &Here,
) -> (Hop, Option<ConnectError>) {
    let shown = address.to_string();
    let checked = match &here.versions {
        None => Err(version::ray_missing(&shown)),
        Some(local) => version::check(&shown, facts, local).map(|()| local),
    };
    let local = match checked {
        Ok(local) => local,
        Err(error) => {
            let hop = untimed("versions", Verdict::Failed, &error.message);
            return (hop, Some(error));
        }
    };
    let ours = format!("here Ray {}, Python {}", local.ray, local.python);
    let (verdict, detail) = if facts.ray_version.is_some() {
        (Verdict::Ok, format!("{ours}, which Ray accepts"))
    } else if reached && !matches!(address, RayAddress::Local | RayAddress::Module(_)) {
        let detail = format!("{ours}; ray.init compares them with the cluster's");
        (Verdict::Skipped, detail)
    } else {
        (Verdict::Skipped, ours)
    };
    (untimed("versions", verdict, detail), None)
}
