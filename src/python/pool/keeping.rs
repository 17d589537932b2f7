//! What the thread of a pool does: connections made and ended in the background.

use std::sync::Arc;

use arc_swap::Guard;
use pyo3::prelude::*;

use super::Pool;
use crate::config::Env;
use crate::connect::{Next, Outcome, Request, Wish};
use crate::error::{ConnectError, Kind};
use crate::pool::{Member, Order};
use crate::process::process;
use crate::python::connect::launch;
use crate::python::connection::seat::Seat;
use crate::python::interop::blocking::detached;
use crate::python::logs;
use crate::python::ray::{arguments, given};

impl Pool {
    pub(super) fn keep(&self, py: Python<'_>) -> Option<(Py<PyAny>, bool)> {
        let process = Guard::into_inner(process());
        loop {
            let order = detached(py, || process.runtime.block_on(self.core.next()));
            match order {
                Ok(Order::Connect(member)) => self.connect(py, &member),
                Ok(Order::Disconnect { member, is_up }) => {
                    if let Some(context) = self.give_up(py, &member) {
                        return Some((context, is_up));
                    }
                }
                // An error means that the process is ending.
                Ok(Order::Stop) | Err(_) => {
                    process.pools.remove(&self.core);
                    return None;
                }
            }
            logs::flush_elsewhere(py);
        }
    }

    fn connect(&self, py: Python<'_>, member: &Arc<Member>) {
        let begun = self.begin(py, member);
        if let Err(error) = begun {
            let address = self.core.target.address.to_string();
            let message = format!("Pool {} to {address}: {error}", self.core.name);
            let cause = ConnectError::new(Kind::InitFailed, address, message, "");
            self.core.failed(member, &cause);
        }
    }

    fn begin(&self, py: Python<'_>, member: &Arc<Member>) -> PyResult<()> {
        let seat = Seat::of(py, &self.core, member)?;
        let kwargs = self.init_kwargs.as_ref();
        let wish = Wish {
            setup: arguments::setup(kwargs.map(|kwargs| kwargs.bind(py))),
            ..Wish::default()
        };
        let target = self.core.target.clone();
        let request = match Request::new(&member.session, target, wish, &seat.settings()) {
            Ok(request) => Arc::new(request),
            Err(rejected) => {
                self.core.failed(member, &rejected);
                return Ok(());
            }
        };
        let given = given::in_arguments(py, kwargs);
        let flight = || request.flight(&Env::Process, given);
        let next = request.next(flight, |flight| launch(py, &seat, kwargs, flight))?;
        let (core, member) = (Arc::clone(&self.core), Arc::clone(member));
        match next {
            Next::Done(Ok(())) => {}
            Next::Done(Err(cause)) => core.failed(&member, &cause),
            Next::Wait(outcome) => {
                let ended = async move {
                    let failed = match outcome.await {
                        Outcome::Connected => None,
                        Outcome::Failed(cause) => Some(cause),
                        Outcome::Again => member.session.last_error(),
                    };
                    if let Some(cause) = failed {
                        core.failed(&member, &cause);
                    }
                };
                process().runtime.handle()?.spawn(ended);
            }
        }
        Ok(())
    }

    /// Ends the state of `member`; returns its context, which is still to be disconnected.
    fn give_up(&self, py: Python<'_>, member: &Arc<Member>) -> Option<Py<PyAny>> {
        member.session.exit();
        member.session.give_up();
        let seat = Seat::known(&self.core, member)?;
        seat.context(py).map(|context| context.clone().unbind())
    }
}
