//! From what a look reported to the full list of hops: what was not tried is there too, and why.

use super::{Candidate, Here, Hop, Verdict};
use crate::address::RayAddress;
use crate::error::ConnectError;
use crate::preflight::{Look, ProbePlan};
use crate::probe::{AuthMode, Credentials, Facts, Step, version};

const HOPS: [&str; 6] = ["token", "dns", "tcp", "tls", "grpc", "cluster"];

/// A look, told hop by hop. What Ray would say about the versions counts as one more hop.
pub(super) fn told(
    look: Look,
    probe_plan: &ProbePlan,
    here: &Here,
    is_fallback: bool,
) -> Candidate {
    let credentials = match look.address {
        RayAddress::Auto => &probe_plan.local_credentials,
        _ => &probe_plan.credentials,
    };
    let mut hops = network_hops(&look, credentials);
    let (facts, reached) = match look.result {
        Ok(passed) => (passed.facts, Ok(())),
        Err(cause) => (Facts::default(), Err(cause)),
    };
    let (versions, result) = compare(&look.address, &facts, reached, here);
    hops.push(versions);
    Candidate {
        address: look.address,
        is_fallback,
        hops,
        facts,
        result: Some(result),
    }
}

/// A fallback that nobody needs.
pub(super) fn not_tried(address: RayAddress) -> Candidate {
    Candidate {
        address,
        is_fallback: true,
        hops: Vec::new(),
        facts: Facts::default(),
        result: None,
    }
}

fn network_hops(look: &Look, credentials: &Credentials) -> Vec<Hop> {
    if look.address == RayAddress::Local {
        return Vec::new();
    }
    let at = format!("{}: ", look.address);
    let tried = |step: &Step| Hop {
        name: step.name,
        verdict: if step.ok {
            Verdict::Ok
        } else {
            Verdict::Failed
        },
        // The candidate is named above its hops.
        detail: step.detail.trim_start_matches(&at).to_owned(),
        timing: Some((step.at, step.took)),
    };
    let local = look.steps.iter().filter(|step| step.name == "local");
    let others = HOPS.iter().map(|&name| {
        let step = look.steps.iter().find(|step| step.name == name);
        step.map_or_else(|| missing(name, look, credentials), tried)
    });
    local.map(tried).chain(others).collect()
}

fn skipped(name: &'static str, why: impl Into<String>) -> Hop {
    Hop {
        name,
        verdict: Verdict::Skipped,
        detail: why.into(),
        timing: None,
    }
}

fn missing(name: &'static str, look: &Look, credentials: &Credentials) -> Hop {
    let is_client = matches!(look.address, RayAddress::Client(_));
    match name {
        "token" if credentials.mode != AuthMode::Token => skipped(name, credentials.about_token()),
        "tls" if credentials.tls.is_none() => skipped(name, "RAY_USE_TLS is not set"),
        "cluster" if is_client => skipped(name, "Ray Client tells no versions and no cluster id"),
        _ => skipped(name, "not reached"),
    }
}

/// The versions on both sides, and what a connect comes to with them.
fn compare(
    address: &RayAddress,
    facts: &Facts,
    reached: Result<(), ConnectError>,
    here: &Here,
) -> (Hop, Result<(), ConnectError>) {
    let shown = address.to_string();
    let checked = match &here.versions {
        None => Err(version::ray_missing(&shown)),
        Some(local) => version::check(&shown, facts, local).map(|()| local),
    };
    let local = match checked {
        Ok(local) => local,
        Err(error) => {
            let hop = Hop {
                verdict: Verdict::Failed,
                ..skipped("versions", error.message.clone())
            };
            // What is wrong on the way comes first.
            return (hop, reached.and(Err(error)));
        }
    };
    let ours = format!("here Ray {}, Python {}", local.ray, local.python);
    let hop = if facts.ray_version.is_some() {
        Hop {
            verdict: Verdict::Ok,
            ..skipped("versions", format!("{ours}, which Ray accepts"))
        }
    } else if reached.is_ok() && *address != RayAddress::Local {
        skipped(
            "versions",
            format!("{ours}; ray.init compares them with the cluster's"),
        )
    } else {
        skipped("versions", ours)
    };
    (hop, reached)
}
