//! Which of this process's connections something is about.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::config::{Env, Settings};
use crate::pool::{Member, Pool};
use crate::process::process;
use crate::python::ray;
use crate::session::Session;

/// The connection that `ray` itself has, or one of a pool's.
#[derive(Clone)]
pub enum Seat {
    /// The process's own.
    Main,
    /// One of a pool's, with its `Context` (`seedcore_ray/_ray/contexts.py`).
    Member {
        pool: Arc<Pool>,
        member: Arc<Member>,
        context: Arc<Py<PyAny>>,
    },
}

impl Seat {
    /// The seat of `member`, which gets a context of its own the first time.
    ///
    /// # Errors
    ///
    /// What Python raises.
    pub fn of(py: Python<'_>, pool: &Arc<Pool>, member: &Arc<Member>) -> PyResult<Self> {
        if member.seat.get().is_none() {
            let module = py.import(intern!(py, "seedcore_ray._ray.contexts"))?;
            let context = module.call_method0(intern!(py, "Context"))?.unbind();
            let _ = member.seat.set(Box::new(Arc::new(context)));
        }
        let seat = Self::known(pool, member);
        seat.ok_or_else(|| PyRuntimeError::new_err("the connection has the seat of another kind"))
    }

    /// The seat of `member`, if it has a context.
    pub fn known(pool: &Arc<Pool>, member: &Arc<Member>) -> Option<Self> {
        let context: &Arc<Py<PyAny>> = member.seat.get()?.downcast_ref()?;
        Some(Self::Member {
            pool: Arc::clone(pool),
            member: Arc::clone(member),
            context: Arc::clone(context),
        })
    }

    /// The state of the connection.
    pub fn session(&self) -> Arc<Session> {
        match self {
            Self::Main => Arc::clone(&process().session),
            Self::Member { member, .. } => Arc::clone(&member.session),
        }
    }

    /// The settings of now. The standbys are those of the process's own connection: a pool is to one
    /// cluster, and another pool to another.
    pub fn settings(&self) -> Settings {
        let settings = Settings::from_env(&Env::Process).0;
        match self {
            Self::Main => settings,
            Self::Member { .. } => Settings {
                standbys: Vec::new(),
                ..settings
            },
        }
    }

    /// The `Context`; none for the process's own connection, which is Ray's default.
    pub fn context<'a, 'py>(&'a self, py: Python<'py>) -> Option<&'a Bound<'py, PyAny>> {
        match self {
            Self::Main => None,
            Self::Member { context, .. } => Some(context.bind(py)),
        }
    }

    /// Ray's worker, where the connection is a Ray Client.
    pub fn client_worker<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match self.context(py) {
            None => ray::client_worker(py),
            Some(context) => {
                let worker = context.getattr(intern!(py, "worker")).ok()?;
                Some(worker).filter(|worker| !worker.is_none())
            }
        }
    }
}
