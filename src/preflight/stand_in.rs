//! Addresses that are connected in place of the one that was asked for.

use crate::error::{ConnectError, Kind};

/// What an address is that stands in for the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Another address of the same cluster, which [`Target::fallbacks`] derives.
    ///
    /// [`Target::fallbacks`]: crate::target::Target::fallbacks
    Fallback,
    /// Another cluster, which the settings name.
    Standby,
}

impl Role {
    /// `fallback` or `standby`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// That another address stands in for the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// What the other address is.
    pub role: Role,
    /// Why the address that was asked for failed.
    pub cause: ConnectError,
}

impl StandIn {
    pub(super) fn fallback(cause: ConnectError) -> Self {
        Self {
            role: Role::Fallback,
            cause,
        }
    }

    pub(super) fn standby(cause: ConnectError) -> Self {
        Self {
            role: Role::Standby,
            cause,
        }
    }
}

/// Whether fallbacks may be tried after a failure of `kind`.
///
/// Those that time can cure, and "no address given, no Ray on this machine".
pub fn may_fall_back(kind: Kind) -> bool {
    kind.is_transient() || kind == Kind::NoLocalRay
}

/// Whether standbys may be tried after a failure of `kind`.
///
/// Those that time can cure, and those of a cluster that has gone from this machine: they are answered
/// at once where there is nothing else to try, and another cluster is something else.
pub fn may_stand_by(kind: Kind) -> bool {
    may_fall_back(kind) || matches!(kind, Kind::StaleLocalRay | Kind::NoLocalNode)
}
