//! Why there is no connection at the moment, for whoever needs one and must not make it.

use crate::error::{ConnectError, Kind};
use crate::session::{Session, State};

/// The reason: the last failure, if one is known.
pub fn absence(session: &Session) -> ConnectError {
    if let Some(cause) = session.last_error() {
        return cause;
    }
    if let Some(refusal) = session.refusal("Ray") {
        return refusal;
    }
    let message = match session.state() {
        State::Connecting => "not connected to Ray yet, the connect is still under way",
        _ if session.generation() > 0 => "not connected to Ray any more, it was shut down",
        _ => "not connected to Ray, nobody has called ensure_ray_initialized()",
    };
    ConnectError::new(
        Kind::NotConnected,
        "",
        message,
        "Connect first, and use this after ensure_ray_initialized() has returned True.",
    )
}
