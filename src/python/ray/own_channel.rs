//! Questions over Ray's own channel (`seedcore_ray/_ray/own_channel.py`), where only Ray can open one:
//! `ray.init` was given `_credentials`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::address::HostPort;
use crate::error::{ConnectError, Kind};
use crate::probe::{ClusterState, Reply, SessionState};
use crate::python::interop::exit_guard::passed_through;

const MODULE: &str = "seedcore_ray._ray.own_channel";

/// Takes the answer, on a thread of gRPC's.
#[pyclass(frozen, module = "seedcore_ray._core")]
struct Told(Mutex<Option<oneshot::Sender<(String, String)>>>);

#[pymethods]
impl Told {
    fn __call__(&self, answer: String, why: String) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // The asker may have given up.
            let _ = sender.send((answer, why));
        }
    }
}

/// A look at the session of the connected Ray Client, under way.
pub struct Look {
    told: oneshot::Receiver<(String, String)>,
    /// Why it could not even begin.
    failure: Option<PyErr>,
}

impl Look {
    /// Begins one, of the client that has `worker`, by default the one that `ray.init` has made; for whose answer gRPC waits no longer than `patience`; the GCS behind the session has
    /// `gcs_bound`.
    pub fn begin(worker: Option<&Py<PyAny>>, patience: Duration, gcs_bound: Duration) -> Self {
        let (tell, told) = oneshot::channel();
        let asked = passed_through(|| {
            Python::try_attach(|py| {
                let told = Told(Mutex::new(Some(tell)));
                let (patience, gcs_bound) = (patience.as_secs_f64(), gcs_bound.as_secs_f64());
                let module = py.import(MODULE)?;
                let arguments = (worker, patience, gcs_bound, told);
                module
                    .call_method1(intern!(py, "look"), arguments)
                    .map(drop)
            })
        });
        Self {
            told,
            // Without an attempt the interpreter is ending.
            failure: asked.and_then(Result::err),
        }
    }

    /// The answer. May be cancelled and called again, until there is one.
    ///
    /// # Errors
    /// The cause, when there is none.
    pub async fn reply(&mut self, server: &HostPort) -> Result<Reply, ConnectError> {
        if let Some(error) = &self.failure {
            return Err(silent(server, &error.to_string()));
        }
        let (answer, why) = (&mut self.told).await.unwrap_or_default();
        match answer.as_str() {
            "session" => Ok(Reply::Session),
            "no_gcs" => Ok(Reply::NoGcs { refuses: false }),
            "no_session" => Ok(Reply::NoSession),
            _ => Err(silent(server, &why)),
        }
    }
}

/// One look at the session of the connected Ray Client at `server`, within `bound`.
///
/// # Errors
/// The cause, when there is no answer.
pub async fn look(server: &HostPort, bound: Duration) -> Result<Reply, ConnectError> {
    let mut look = Look::begin(None, bound, bound);
    let reply = timeout(bound, look.reply(server)).await;
    reply.unwrap_or_else(|_| Err(late(server, bound)))
}

/// The error for no answer within `bound`.
pub fn late(server: &HostPort, bound: Duration) -> ConnectError {
    silent(server, &format!("not within {:.1} s", bound.as_secs_f64()))
}

/// Nodes and resources, each within `bound`.
///
/// # Errors
/// The cause, when Ray's server cannot be asked.
pub fn state(
    py: Python<'_>,
    server: &HostPort,
    bound: Duration,
) -> Result<SessionState, ConnectError> {
    let told = || {
        let module = py.import(MODULE)?;
        let state = module.call_method1(intern!(py, "state"), (bound.as_secs_f64(),))?;
        let (nodes, total, available, node_id, namespace) = state.extract()?;
        PyResult::Ok(SessionState {
            cluster: ClusterState {
                total,
                available,
                nodes,
            },
            node_id,
            namespace,
        })
    };
    told().map_err(|error| silent(server, &error.to_string()))
}

fn silent(server: &HostPort, why: &str) -> ConnectError {
    let address = format!("ray://{server}");
    let why: String = why.split_whitespace().collect::<Vec<_>>().join(" ");
    ConnectError::new(
        Kind::NotReady,
        &address,
        format!("{address} does not answer over Ray's own channel, which has _credentials: {why}"),
        "Look at the gateway and at the head behind it.",
    )
}
