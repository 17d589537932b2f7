//! Why there is no connection at the moment, for a caller that needs one and must not connect.

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
    let is_connecting = session.state() == State::Connecting;
    let message = if is_connecting {
        "not connected to Ray yet, the connect is still under way"
    } else if session.generation() > 0 {
        "not connected to Ray any more, it was shut down"
    } else {
        "not connected to Ray, nobody has called ensure_ray_initialized()"
    };
    let probe = session.last_probe().filter(|_| is_connecting);
    let message = match probe.and_then(|probe| probe.error) {
        Some(cause) => format!("{message}: {}", cause.message),
        None => message.to_owned(),
    };
    let hint = "Connect first, and use this after ensure_ray_initialized() has returned True.";
    ConnectError::new(Kind::NotConnected, "", message, hint)
}
