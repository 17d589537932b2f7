//! Finds the Ray of this machine, for `auto`.
//!
//! The rules are those of `get_ray_address_from_environment("auto")` in `ray/_private/services.py`, the
//! same from Ray 2.33 to 2.60 (docs/ray-internals.md, auto): local raylets first, then the file that
//! `ray start --head` writes, which also decides between several raylets. `RAY_ADDRESS` is not read
//! here. Where processes cannot be listed, only the file is left.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::gcs::hex;
use crate::address::HostPort;
use crate::config::Env;
use crate::error::{ConnectError, Kind};
use crate::platform::Platform;

/// The flag with which a raylet is told its GCS.
const GCS_ADDRESS: &str = "--gcs-address";

/// Where the address of a local Ray was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalSource {
    /// The command line of a running raylet.
    Process,
    /// The address file, which is left behind by a head that is killed.
    File(PathBuf),
}

/// A Ray of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRay {
    /// The address of its GCS.
    pub address: HostPort,
    /// Where the address was found.
    pub source: LocalSource,
    /// Whether several clusters run here. Then this is the one in the address file, the last that was
    /// started, or any of them if there is no file.
    pub ambiguous: bool,
}

impl fmt::Display for LocalRay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            LocalSource::Process => write!(f, "{}, from a running raylet", self.address)?,
            LocalSource::File(path) => write!(f, "{}, from {}", self.address, path.display())?,
        }
        if self.ambiguous {
            f.write_str("; several Rays run here")?;
        }
        Ok(())
    }
}

impl LocalRay {
    /// The error for a probe of this address that failed with `cause`: if the address is only known
    /// from the file and nothing answers, the file is stale.
    pub fn explain(&self, cause: ConnectError) -> ConnectError {
        let LocalSource::File(path) = &self.source else {
            return cause;
        };
        if !cause.kind.is_transient() {
            return cause;
        }
        let path = path.display();
        ConnectError::new(
            Kind::StaleLocalRay,
            cause.address,
            format!("{path} names a Ray that does not answer: {}", cause.message),
            format!(
                "no Ray runs here; start one (ray start --head) or set RAY_ADDRESS. {path} was \
                 left by a head that was killed and may be removed"
            ),
        )
    }
}

/// Finds the Ray that `auto` means on this machine. Blocks for 2-3 ms where processes can be listed.
///
/// `temp_dir` is Ray's `_temp_dir`, if the caller set one.
///
/// # Errors
/// [`Kind::NoLocalRay`] if there is none, [`Kind::StaleLocalRay`] if its address is malformed.
pub fn find(
    platform: &dyn Platform,
    env: &Env,
    temp_dir: Option<&Path>,
) -> Result<LocalRay, ConnectError> {
    let file = address_file(platform, env, temp_dir);
    let named = env.file(&file.to_string_lossy());
    let running = platform.command_lines().map(gcs_addresses);
    let is_listed = running.is_some();
    let running = running.unwrap_or_default();
    let several = running.len() > 1;
    let (address, source) = match (running.into_iter().next(), named) {
        (Some(address), named) if named.is_none() || !several => (address, LocalSource::Process),
        (_, Some(address)) => (address, LocalSource::File(file)),
        _ => return Err(nothing_runs(&file, is_listed)),
    };
    let address = split(&address).ok_or_else(|| malformed(&source))?;
    Ok(LocalRay {
        address,
        source,
        ambiguous: several,
    })
}

/// A raylet of this machine, by its command line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LocalRaylet {
    gcs_address: String,
    node_id: String,
}

impl LocalRaylet {
    /// Whether it is the node of that id.
    pub fn is(&self, node_id: &[u8]) -> bool {
        self.node_id == hex(node_id)
    }

    /// Whether its GCS has that port; its host may have several names.
    pub fn is_of(&self, gcs_port: u16) -> bool {
        split(&self.gcs_address).is_some_and(|address| address.port == gcs_port)
    }
}

/// The raylets of this machine whose command line is readable; `None` where processes are not listed.
pub(super) fn raylets(platform: &dyn Platform) -> Option<BTreeSet<LocalRaylet>> {
    let raylet = |raw: String| {
        let value = |flag| flags(&raw, flag).into_iter().next();
        let (gcs_address, node_id) = (value(GCS_ADDRESS)?, value("--node_id")?);
        Some(LocalRaylet {
            gcs_address,
            node_id,
        })
    };
    let lines = platform.command_lines()?;
    Some(lines.into_iter().filter_map(raylet).collect())
}

/// The file that `ray start --head` writes, in the place where Ray looks for it.
fn address_file(platform: &dyn Platform, env: &Env, temp_dir: Option<&Path>) -> PathBuf {
    let of_system = || {
        let mut variables = platform.temp_dir_variables().iter();
        let named = variables.find_map(|name| env.get(name));
        PathBuf::from(named.as_deref().unwrap_or("/tmp")).join("ray")
    };
    let directory = temp_dir.map_or_else(of_system, Path::to_owned);
    directory.join("ray_current_cluster")
}

/// The GCS addresses of all raylets among these, sorted so that a choice is stable.
fn gcs_addresses(command_lines: Vec<String>) -> BTreeSet<String> {
    let of = |raw: String| flags(&raw, GCS_ADDRESS);
    command_lines.into_iter().flat_map(of).collect()
}

/// Every value of `flag` in the command line of a raylet; nothing for other processes.
fn flags(raw: &str, flag: &str) -> Vec<String> {
    let arguments = split_command_line(raw);
    let executable = arguments.first().and_then(|path| path.rsplit('/').next());
    if !executable.is_some_and(|name| name.contains("raylet")) {
        return Vec::new();
    }
    arguments
        .iter()
        // One argument of the raylet is the command line of its workers, which repeats its own.
        .flat_map(|argument| argument.split(' '))
        .filter(|word| word.starts_with(flag))
        .filter_map(|word| word.split('=').nth(1))
        .filter(|address| !address.is_empty() && *address != "None")
        .map(str::to_owned)
        .collect()
}

/// Splits as psutil does: arguments end with NUL, unless the process rewrote its title.
fn split_command_line(raw: &str) -> Vec<&str> {
    let separator = if raw.ends_with('\0') { '\0' } else { ' ' };
    let body = raw.strip_suffix(separator).unwrap_or(raw);
    let arguments: Vec<&str> = body.split(separator).collect();
    match arguments.as_slice() {
        [single] if separator == '\0' && single.contains(' ') => single.split(' ').collect(),
        _ => arguments,
    }
}

/// Parses `host:port` as Ray writes it, with an IPv6 literal in brackets or without.
fn split(address: &str) -> Option<HostPort> {
    let (host, port) = address.trim().rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let clean = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
    clean.then(|| HostPort {
        host: host.to_owned(),
        port,
    })
}

fn nothing_runs(file: &Path, is_listed: bool) -> ConnectError {
    let file = file.display();
    let looked_at = if is_listed {
        format!("no raylet process, no {file}")
    } else {
        format!("no {file}; processes are not looked at on this system")
    };
    ConnectError::new(
        Kind::NoLocalRay,
        "auto",
        format!("auto: no Ray runs on this machine ({looked_at})"),
        "start one (ray start --head), or name the cluster: RAY_ADDRESS=ray://host:10001 or \
         RAY_ADDRESS=host:6379",
    )
}

fn malformed(source: &LocalSource) -> ConnectError {
    let (place, cure) = match source {
        LocalSource::Process => (
            "a raylet's command line".to_owned(),
            "set RAY_ADDRESS".to_owned(),
        ),
        LocalSource::File(path) => (
            path.display().to_string(),
            format!(
                "remove {} and start Ray again, or set RAY_ADDRESS",
                path.display()
            ),
        ),
    };
    ConnectError::new(
        Kind::StaleLocalRay,
        "auto",
        format!("auto: {place} holds no host:port"),
        cure,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn raylets_are_known_by_their_command_line() {
        let raylet = "/x/raylet/raylet\0--node_id=1\0--gcs-address=10.0.0.1:6379\0\
                      --python_worker_command=python w.py --gcs-address=10.0.0.1:6379 x\0";
        assert_eq!(
            flags(raylet, GCS_ADDRESS),
            ["10.0.0.1:6379", "10.0.0.1:6379"]
        );
        assert_eq!(flags("raylet --gcs-address=h:1 --x", GCS_ADDRESS), ["h:1"]);
        assert_eq!(
            flags("raylet --gcs-address=h:1 --x\0", GCS_ADDRESS),
            ["h:1"]
        );
        for none in [
            "",
            "\0",
            "python\0raylet\0--gcs-address=10.0.0.1:6379\0",
            "raylet\0--gcs-address=\0",
            "raylet\0--gcs-address=None\0",
            "raylet\0--gcs-address\0",
        ] {
            assert!(flags(none, GCS_ADDRESS).is_empty(), "{none:?}");
        }
    }

    #[test]
    fn addresses_as_ray_writes_them() {
        let parts = |text| split(text).map(|a| (a.host, a.port));
        assert_eq!(parts("10.0.0.1:6379"), Some(("10.0.0.1".into(), 6379)));
        assert_eq!(parts("[::1]:6379"), Some(("::1".into(), 6379)));
        for bad in [
            "",
            ":",
            "host",
            "host:",
            ":1",
            "host:0",
            "host:99999",
            "h h:1",
        ] {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_command_line_is_survived(raw in any::<String>()) {
            let _ = flags(&raw, GCS_ADDRESS);
            let _ = split(&raw);
        }
    }
}
