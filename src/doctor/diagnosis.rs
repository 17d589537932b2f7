//! The diagnosis: what is wrong in one sentence, and the next thing to do. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Candidate, Here, Verdict};
use crate::address::RayAddress;
use crate::address::service::HeadService;
use crate::config::{ENV_FALLBACKS, ENV_RAY_ADDRESS, Kubernetes};
use crate::error::{ConnectError, Kind};
use crate::preflight::may_stand_by;

/// Exit code: a connect would work.
pub const OK: u8 = 0;
/// Exit code: something is wrong that does not keep a connect from working.
pub const FAILED: u8 = 1;

/// The conclusion of an examination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Why a connect would fail; None when it would not.
    pub kind: Option<Kind>,
    /// [`OK`], [`FAILED`], or [`Kind::exit_code`].
    pub exit_code: u8,
    /// What was found, in one sentence.
    pub sentence: String,
    /// The next thing to do.
    pub next: String,
}

impl Diagnosis {
    /// The diagnosis of a failure in its own words.
    pub fn of(error: &ConnectError) -> Self {
        Self::failed(error.kind, error.message.clone(), error.hint.clone())
    }

    fn failed(kind: Kind, sentence: String, next: String) -> Self {
        Self {
            kind: Some(kind),
            exit_code: kind.exit_code(),
            sentence,
            next,
        }
    }

    fn well(sentence: String, next: impl Into<String>) -> Self {
        Self {
            kind: None,
            exit_code: OK,
            sentence,
            next: next.into(),
        }
    }

    /// Adds that the Ray of this machine answers, which `RAY_ADDRESS` hides.
    pub(super) fn mention(&mut self, local: &RayAddress) {
        let _ = write!(
            self.next,
            " The Ray of this machine answers, at {local}: unset {ENV_RAY_ADDRESS} to mean that one."
        );
    }

    /// The diagnosis of the examined candidates.
    pub(super) fn from(
        asked: &Candidate,
        fallbacks: &[Candidate],
        standbys: &[Candidate],
        here: &Here,
    ) -> Self {
        let Some(cause) = &asked.error else {
            return connects(&asked.address, here);
        };
        let answers = |other: &&Candidate| other.verdict == Verdict::Ok;
        if let Some(stand_in) = fallbacks.iter().find(answers) {
            return replaced(asked, cause, stand_in, here);
        }
        if may_stand_by(cause.kind)
            && let Some(standby) = standbys.iter().find(answers)
        {
            return stands_by(asked, cause, standby);
        }
        if cause.kind == Kind::Dns {
            return unknown_name(asked, cause, fallbacks, &here.kubernetes);
        }
        Self::of(cause)
    }
}

/// A connect to the address itself would work.
fn connects(address: &RayAddress, here: &Here) -> Diagnosis {
    if let Some(problem) = &here.not_served {
        return Diagnosis {
            kind: None,
            exit_code: FAILED,
            sentence: format!(
                "{address} answers, but imports of seedcore.utils.ray_utils are not served by \
                 seedcore-ray"
            ),
            next: problem.clone(),
        };
    }
    let sentence = match address {
        RayAddress::Local => "`local` starts a Ray inside the process; nothing has to answer",
        RayAddress::Module(_) => {
            "A client of its own connects to this address; nothing of it can be looked at before"
        }
        RayAddress::Auto => "The Ray of this machine answers; a connect will work",
        _ => return Diagnosis::well(format!("{address} answers; a connect will work"), NOTHING),
    };
    Diagnosis::well(sentence.to_owned(), NOTHING)
}

const NOTHING: &str = "Nothing to do.";

/// The address itself fails, and a fallback answers.
fn replaced(
    asked: &Candidate,
    cause: &ConnectError,
    stand_in: &Candidate,
    here: &Here,
) -> Diagnosis {
    let why = head_is_gone(asked, cause).unwrap_or_else(|| cause.message.clone());
    let other = &stand_in.address;
    if here.may_fall_back {
        return Diagnosis::well(
            format!("{why}; {other} answers, and the library falls back to it with a warning"),
            format!("Set {ENV_RAY_ADDRESS}={other}."),
        );
    }
    Diagnosis::failed(
        cause.kind,
        format!("{why}; {other} answers, but {ENV_FALLBACKS}=0 keeps the library from it"),
        format!("Set {ENV_RAY_ADDRESS}={other}, or unset {ENV_FALLBACKS}."),
    )
}

/// The address itself and its fallbacks fail, and a standby answers.
fn stands_by(asked: &Candidate, cause: &ConnectError, standby: &Candidate) -> Diagnosis {
    let why = head_is_gone(asked, cause).unwrap_or_else(|| cause.message.clone());
    let other = &standby.address;
    Diagnosis::well(
        format!(
            "{why}; the standby {other} answers, and the library connects to it with a warning"
        ),
        format!(
            "Bring {} back; processes on the standby stay there until it is lost or they are \
             connected anew (force_reinit=True).",
            asked.address
        ),
    )
}

/// Says that the host is the head service of a `RayService` run that does not exist: each run has
/// a head service of its own.
fn head_is_gone(asked: &Candidate, cause: &ConnectError) -> Option<String> {
    let host = &asked.address.host_port()?.host;
    let is_gone = cause.kind == Kind::Dns && HeadService::of(host).is_some();
    is_gone.then(|| {
        format!(
            "The head service {host} does not resolve: a RayService gives each run a new one, and \
             this run is over or not begun"
        )
    })
}

/// A name that does not resolve, explained by the Kubernetes surroundings.
fn unknown_name(
    asked: &Candidate,
    cause: &ConnectError,
    fallbacks: &[Candidate],
    kubernetes: &Kubernetes,
) -> Diagnosis {
    let diagnosis = |why: String, next: String| Diagnosis::failed(Kind::Dns, why, next);
    if let Some(gone) = head_is_gone(asked, cause)
        && let Some(stable) = fallbacks.iter().find(|candidate| candidate.passed("dns"))
    {
        let other = &stable.address;
        return diagnosis(
            format!("{gone}; the stable service {other} exists, but does not answer either"),
            format!(
                "Look at the pods behind it (kubectl get pods), and set {ENV_RAY_ADDRESS}={other}."
            ),
        );
    }
    let host = asked.address.host_port().map_or("", |at| &at.host);
    match &kubernetes.namespace {
        _ if !kubernetes.inside && host.contains(".svc") => diagnosis(
            format!(
                "{}; it is the name of a Kubernetes service, and this process runs outside of \
                 Kubernetes",
                cause.message
            ),
            "Run it in the cluster, or forward the port (kubectl port-forward svc/... 10001) and \
             connect to ray://localhost:10001."
                .to_owned(),
        ),
        Some(namespace) if kubernetes.inside && !host.contains('.') => diagnosis(
            format!(
                "{}; no such service in the namespace {namespace}",
                cause.message
            ),
            format!(
                "See what there is (kubectl get svc -n {namespace}); a service of another \
                 namespace needs its full name, {host}.<namespace>.svc.cluster.local."
            ),
        ),
        _ => Diagnosis::of(cause),
    }
}
