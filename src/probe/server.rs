//! The server that is probed, as messages name it.

use std::fmt;

use super::report::RayPort;
use crate::address::HostPort;
use crate::error::{ConnectError, Kind};

/// A server, and which of Ray's ports it is expected to be.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub address: HostPort,
    pub ray_port: RayPort,
    /// The address in the form that its user wrote: `ray://host:port` or `host:port`.
    pub shown: String,
}

impl Server {
    pub fn new(address: HostPort, ray_port: RayPort) -> Self {
        let shown = match ray_port {
            RayPort::Gcs => address.to_string(),
            RayPort::Client => format!("ray://{address}"),
        };
        Self {
            address,
            ray_port,
            shown,
        }
    }

    /// Another port of the same host.
    pub fn at_port(&self, port: u16) -> HostPort {
        let host = self.address.host.clone();
        HostPort { host, port }
    }

    /// An error whose message is the address and `cause`.
    pub fn error(
        &self,
        kind: Kind,
        cause: impl fmt::Display,
        hint: impl Into<String>,
    ) -> ConnectError {
        let message = format!("{}: {cause}", self.shown);
        ConnectError::new(kind, &self.shown, message, hint)
    }
}
