//! A connection that somebody else makes while a lost one is waited for. It is the recovery when it
//! leads to the same cluster; else it is a stranger's, and the wait goes on.
//!
//! A library that finds Ray not initialised calls `ray.init()`, which starts a private cluster where
//! no address is set. Taking that for a recovery would run the service's work on it. Nor is it shut
//! down: whoever made it may be using it.

use super::loss::{LostConnection, Stranger};
use super::{Connection, ConnectionInfo, Locked, Session, log_lines};
use crate::address::RayAddress;
use crate::error::{ConnectError, Kind};
use crate::events::What;
use crate::flight::Flight;

/// What a person has to do.
const WAY_OUT: &str = "Call ray.shutdown() in the code that made it: then this process connects by \
                       itself, as soon as its own cluster answers. Or let \
                       ensure_ray_initialized(force_reinit=True) shut it down and connect.";

impl Session {
    /// The cause, if `found` is a stranger's. It is logged when it is new, and again when a `flight`
    /// shows that the lost cluster is back. None lets the caller take `found`.
    pub(super) fn refuse_stranger(
        &self,
        inner: &mut Locked<'_>,
        found: &Connection,
        flight: Option<&Flight>,
    ) -> Option<ConnectError> {
        let lost = inner.lost.as_mut().filter(|lost| lost.is_awaited())?;
        if is_same_cluster(lost.info(), &found.info) {
            return None;
        }
        let address = &found.info.address;
        let known = lost.stranger.as_ref().filter(|s| s.address == *address);
        let was_back = known.map(|stranger| stranger.is_back);
        let is_back = flight.is_some() || was_back == Some(true);
        let cause = cause(&lost.info().address, address, is_back);
        if was_back != Some(is_back) {
            let after = Some(lost.since.elapsed());
            lost.stranger = Some(Stranger {
                address: address.clone(),
                is_back,
            });
            log_lines::stranger(&cause);
            let shown = cause.address.clone();
            self.happened(What::Failed, &shown, Some(cause.clone()), after);
        }
        Some(cause)
    }

    /// Ray is not connected to anything: a stranger that was there is gone.
    pub fn alone(&self) {
        if let Some(lost) = &mut self.inner().lost {
            lost.stranger = None;
        }
    }
}

impl LostConnection {
    /// Whether the monitor waits for the cluster.
    fn is_awaited(&self) -> bool {
        self.released && self.reconnects
    }
}

/// By address, as asked for or as Ray gives it, or by cluster id: a head that was restarted has
/// another id and the same address. `auto` means the Ray of this machine, unless this process has
/// started that itself.
fn is_same_cluster(lost: &ConnectionInfo, found: &ConnectionInfo) -> bool {
    let asked = lost.target.as_ref().map(|target| &target.address);
    let theirs = &found.address;
    let is_ours = |address: &String| address == theirs;
    let is_same_id = lost.ray.cluster_id.is_some() && lost.ray.cluster_id == found.ray.cluster_id;
    let is_of_this_machine = asked == Some(&RayAddress::Auto) && found.ray.is_local();
    is_same_id
        || is_of_this_machine
        || is_ours(&lost.address)
        || lost.ray.address.as_ref().is_some_and(is_ours)
        || asked.is_some_and(|address| is_ours(&address.to_string()))
}

fn cause(ours: &str, theirs: &str, is_back: bool) -> ConnectError {
    let state = if is_back {
        "answers again, but cannot be used"
    } else {
        "is lost and still waited for"
    };
    let message = format!(
        "{ours} {state}: other code has connected this process to {theirs} with ray.init(); that is \
         another cluster, and not taken for ours"
    );
    ConnectError::new(Kind::Lost, ours, message, WAY_OUT)
}
