//! `RayAddress`: parse, show. Pure.

use crate::error::ConnectError;

/// Default port of Ray Client, as in Ray.
pub const DEFAULT_CLIENT_PORT: u16 = 10001;

/// Host and port. `host` has no brackets: `::1`, not `[::1]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or IP literal.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

/// An address in one of the forms that Ray takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RayAddress {
    /// Find a Ray on this machine.
    Auto,
    /// Start one inside this process.
    Local,
    /// The GCS of a running cluster: `host:port`, a native driver.
    Gcs(HostPort),
    /// Ray Client: `ray://host[:port]`.
    Client(HostPort),
}

impl RayAddress {
    /// Parses what a caller or `RAY_ADDRESS` gave. White space around is dropped.
    pub fn parse(_text: &str) -> Result<Self, ConnectError> {
        todo!()
    }
}

/// `text` as it may be shown: user info and query values replaced by `***`.
pub fn redact(_text: &str) -> String {
    todo!()
}
