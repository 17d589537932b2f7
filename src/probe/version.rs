//! The version check of `ray.init`, made before it. Pure.
//!
//! The rules are those of `check_version_info` in `ray/_private/utils.py` for a native driver: equal
//! Ray versions, and Python equal to the patch level, or to the minor level with
//! `RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL=minor`, which Ray up to 2.44 does not know (read in
//! 2.33.0, 2.44.1, 2.55.1 and 2.60.0).

use super::report::Facts;
use crate::error::{ConnectError, Kind};

/// The versions of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// `ray.__version__`
    pub ray: String,
    /// `major.minor.micro`
    pub python: String,
    /// The value of `RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL`.
    pub match_level: Option<String>,
}

/// Refuses exactly what Ray's native driver refuses. `address` is shown in messages.
///
/// A cluster that does not report its versions passes, as in Ray.
///
/// # Errors
/// [`Kind::VersionMismatch`].
pub fn check(address: &str, cluster: &Facts, local: &Local) -> Result<(), ConnectError> {
    let (Some(ray), Some(python)) = (&cluster.ray_version, &cluster.python_version) else {
        return Ok(());
    };
    let level = local.match_level.as_deref();
    let python_matches = match level.filter(|_| knows_match_level(&local.ray)) {
        None | Some("patch") => *python == local.python,
        Some("minor") => minor(python) == minor(&local.python),
        Some(other) => return Err(invalid_level(address, other)),
    };
    let ray_matches = *ray == local.ray;
    if ray_matches && python_matches {
        return Ok(());
    }
    Err(ConnectError::new(
        Kind::VersionMismatch,
        address,
        format!(
            "{address}: the cluster runs Ray {ray} on Python {python}, this process Ray {} on \
             Python {}; Ray refuses that",
            local.ray, local.python
        ),
        hint(ray, python, ray_matches, local),
    ))
}

/// The error for a process without the `ray` package.
pub fn ray_missing(address: &str) -> ConnectError {
    ConnectError::new(
        Kind::RayMissing,
        address,
        format!("Not connecting to {address}: the ray package is not installed"),
        "Install it with `pip install \"ray[client]\"`, in the same version as the cluster.",
    )
}

/// Whether this Ray reads the match level: 2.44 and older do not.
fn knows_match_level(ray: &str) -> bool {
    is_since(ray, (2, 45))
}

/// Whether `ray` is that release, major and minor, or a newer one. An unreadable version counts as new.
pub fn is_since(ray: &str, release: (u32, u32)) -> bool {
    let mut parts = ray.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= release,
        _ => true,
    }
}

fn minor(version: &str) -> Vec<&str> {
    version.split('.').take(2).collect()
}

fn invalid_level(address: &str, text: &str) -> ConnectError {
    ConnectError::new(
        Kind::VersionMismatch,
        address,
        format!(
            "{address}: RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL is {text:?}, and Ray refuses to \
             compare versions that way"
        ),
        "set it to minor or patch, or unset it",
    )
}

fn hint(ray: &str, python: &str, ray_matches: bool, local: &Local) -> String {
    if !ray_matches {
        return format!("install the cluster's version here: pip install \"ray=={ray}\"");
    }
    if minor(python) == minor(&local.python) && knows_match_level(&local.ray) {
        return format!(
            "run Python {python} here, or set RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL=minor to \
             accept another patch release"
        );
    }
    format!("run Python {python} here, or the same Python in both images")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(cluster: (&str, &str), ours: (&str, &str), level: Option<&str>) -> bool {
        let facts = Facts {
            ray_version: Some(cluster.0.to_owned()),
            python_version: Some(cluster.1.to_owned()),
            ..Facts::default()
        };
        let local = Local {
            ray: ours.0.to_owned(),
            python: ours.1.to_owned(),
            match_level: level.map(str::to_owned),
        };
        check("head:6379", &facts, &local).is_ok()
    }

    #[test]
    fn refuses_exactly_where_ray_does() {
        let new = |python| ("2.60.0", python);
        let old = |python| ("2.44.1", python);
        for (cluster, ours, level, ok) in [
            (new("3.11.9"), new("3.11.9"), None, true),
            (new("3.11.9"), new("3.11.8"), None, false),
            (new("3.11.9"), new("3.11.8"), Some("patch"), false),
            (new("3.11.9"), new("3.11.8"), Some("minor"), true),
            (new("3.11.9"), new("3.12.9"), Some("minor"), false),
            (new("3.11.9"), new("3.11.9"), Some("major"), false),
            (new("3.11.9"), old("3.11.9"), Some("minor"), false),
            (old("3.11.9"), old("3.11.8"), Some("minor"), false),
            (old("3.11.9"), old("3.11.9"), Some("major"), true),
        ] {
            assert_eq!(
                verdict(cluster, ours, level),
                ok,
                "{cluster:?} {ours:?} {level:?}"
            );
        }
    }

    #[test]
    fn a_silent_cluster_passes() {
        let local = Local {
            ray: "2.60.0".to_owned(),
            python: "3.11.9".to_owned(),
            match_level: None,
        };
        assert_eq!(check("head:6379", &Facts::default(), &local), Ok(()));
    }
}
