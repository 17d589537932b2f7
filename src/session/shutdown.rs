//! How a connection is given up: by `shutdown_ray`, or because the process ends.

use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::{Closing, Owner, Session, Turn};

impl Session {
    /// Begins `shutdown_ray`. `ray_is_up`: Ray itself says that it is connected.
    pub fn close(&self, ray_is_up: bool) -> Closing {
        let mut inner = self.inner();
        self.tell(&mut inner, None);
        inner.give_up_waiting();
        match &inner.owner {
            // Whatever is under way was called off by the exit, and nobody waits for its end.
            Some(_) if self.exiting.load(Ordering::Acquire) => Closing::Nothing,
            Some(Owner::Shutdown(over)) => Closing::After(Turn::Shutdown(over.subscribe())),
            Some(Owner::Connect(flight)) => {
                flight.call_off();
                // A flight that was to replace a live connection may still keep that one.
                if flight.in_init() && inner.live.is_none() {
                    return Closing::OnArrival;
                }
                Closing::After(Turn::Flight(flight.over()))
            }
            None if inner.live.is_some() || ray_is_up => {
                let (over, _) = watch::channel(false);
                inner.owner = Some(Owner::Shutdown(over));
                self.let_go(&mut inner);
                Closing::Run
            }
            None => {
                self.let_go(&mut inner);
                Closing::Nothing
            }
        }
    }

    /// `ray.shutdown()` has returned.
    pub fn closed(&self) {
        let mut inner = self.inner();
        if let Some(Owner::Shutdown(over)) = &inner.owner {
            over.send_replace(true);
            inner.owner = None;
            self.tell(&mut inner, None);
        }
    }

    /// The interpreter is about to end: calls off what is under way, refuses the rest, and lets
    /// everyone who waits go.
    pub fn exit(&self) {
        self.exiting.store(true, Ordering::Release);
        let inner = self.inner();
        if let Some(watch) = &inner.watch {
            watch.stop();
        }
        match &inner.owner {
            Some(Owner::Connect(flight)) => {
                flight.call_off();
                flight.land(Err(flight.cancelled()));
            }
            Some(Owner::Shutdown(over)) => {
                over.send_replace(true);
            }
            None => {}
        }
    }
}
