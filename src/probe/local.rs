//! `auto`: which Ray runs on this machine?
//!
//! Imitates `get_ray_address_from_environment("auto")` of `ray/_private/services.py` (the same
//! from Ray 2.33 to 2.60): local raylets first, then the file that `ray start --head` leaves;
//! the file decides between several raylets. `RAY_ADDRESS` is not our business.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::address::HostPort;
use crate::config::Env;
use crate::error::{ConnectError, Kind};

/// Where a local Ray was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalSource {
    /// The command line of a running raylet.
    Process,
    /// The address file; it outlives a killed head.
    File(PathBuf),
}

/// A Ray of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRay {
    /// Its GCS.
    pub address: HostPort,
    /// How we know.
    pub source: LocalSource,
    /// Several clusters run here and one was picked: the latest started if the address file
    /// tells, else any.
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
    /// The probe of this address failed with `cause`. If only the file vouched for it, and
    /// nobody answers, the file is stale.
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

/// The Ray that `auto` means on this machine.
///
/// `temp_dir` is Ray's `_temp_dir`, if the caller set one. Blocking, 2-3 ms: reads `/proc`.
pub fn find(env: &Env, temp_dir: Option<&Path>) -> Result<LocalRay, ConnectError> {
    // psutil finds raylets on other systems too; there, only the address file is looked at.
    let proc_root = cfg!(target_os = "linux").then(|| Path::new("/proc"));
    find_in(proc_root, env, temp_dir)
}

/// As [`find`], with another `/proc`.
pub fn find_in(
    proc_root: Option<&Path>,
    env: &Env,
    temp_dir: Option<&Path>,
) -> Result<LocalRay, ConnectError> {
    let file = address_file(env, temp_dir);
    let named = env.file(&file.to_string_lossy());
    let running = proc_root.map(raylets).unwrap_or_default();
    let several = running.len() > 1;
    match (running.into_iter().next(), named) {
        (Some(address), None) => local_ray(&address, LocalSource::Process, several),
        (Some(address), Some(_)) if !several => local_ray(&address, LocalSource::Process, false),
        (_, Some(address)) => local_ray(&address, LocalSource::File(file), several),
        (None, None) => Err(nothing_runs(&file)),
    }
}

fn local_ray(
    address: &str,
    source: LocalSource,
    ambiguous: bool,
) -> Result<LocalRay, ConnectError> {
    let Some(address) = split(address) else {
        return Err(malformed(&source));
    };
    Ok(LocalRay {
        address,
        source,
        ambiguous,
    })
}

/// The file that `ray start --head` writes, where Ray looks for it.
fn address_file(env: &Env, temp_dir: Option<&Path>) -> PathBuf {
    let directory = temp_dir.map_or_else(|| system_temp_dir(env).join("ray"), Path::to_owned);
    directory.join("ray_current_cluster")
}

fn system_temp_dir(env: &Env) -> PathBuf {
    let linux = cfg!(target_os = "linux");
    env.get("RAY_TMPDIR")
        .or_else(|| env.get("TMPDIR").filter(|_| linux))
        .map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}

/// The GCS addresses of all raylets that we may look at, sorted so that a choice is stable.
fn raylets(proc_root: &Path) -> BTreeSet<String> {
    let Ok(processes) = fs::read_dir(proc_root) else {
        return BTreeSet::new();
    };
    processes
        .filter_map(Result::ok)
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .iter()
                .all(u8::is_ascii_digit)
        })
        // Gone, or somebody else's: neither is ours to connect to.
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .flat_map(|raw| gcs_addresses(&String::from_utf8_lossy(&raw)))
        .collect()
}

/// Every `--gcs-address=` of a raylet's command line; nothing for other processes.
fn gcs_addresses(raw: &str) -> Vec<String> {
    let arguments = split_command_line(raw);
    let executable = arguments.first().and_then(|path| path.rsplit('/').next());
    if !executable.is_some_and(|name| name.contains("raylet")) {
        return Vec::new();
    }
    arguments
        .iter()
        // The raylet repeats it inside the command lines of its workers, as one argument.
        .flat_map(|argument| argument.split(' '))
        .filter(|word| word.starts_with("--gcs-address"))
        .filter_map(|word| word.split('=').nth(1))
        .filter(|address| !address.is_empty() && *address != "None")
        .map(str::to_owned)
        .collect()
}

/// As psutil: arguments end with NUL, unless the process rewrote its title.
fn split_command_line(raw: &str) -> Vec<&str> {
    let separator = if raw.ends_with('\0') { '\0' } else { ' ' };
    let body = raw.strip_suffix(separator).unwrap_or(raw);
    let arguments: Vec<&str> = body.split(separator).collect();
    match arguments.as_slice() {
        [single] if separator == '\0' && single.contains(' ') => single.split(' ').collect(),
        _ => arguments,
    }
}

/// `host:port` as Ray writes it, an IPv6 literal in brackets or bare.
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

fn nothing_runs(file: &Path) -> ConnectError {
    ConnectError::new(
        Kind::NoLocalRay,
        "auto",
        format!(
            "auto: no Ray runs on this machine (no raylet process, no {})",
            file.display()
        ),
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
        LocalSource::File(path) => {
            let path = path.display().to_string();
            let cure = format!("remove {path} and start Ray again, or set RAY_ADDRESS");
            (path, cure)
        }
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
        assert_eq!(gcs_addresses(raylet), ["10.0.0.1:6379", "10.0.0.1:6379"]);
        assert_eq!(gcs_addresses("raylet --gcs-address=h:1 --x"), ["h:1"]);
        assert_eq!(gcs_addresses("raylet --gcs-address=h:1 --x\0"), ["h:1"]);
        for none in [
            "",
            "\0",
            "python\0raylet\0--gcs-address=10.0.0.1:6379\0",
            "raylet\0--gcs-address=\0",
            "raylet\0--gcs-address=None\0",
            "raylet\0--gcs-address\0",
        ] {
            assert!(gcs_addresses(none).is_empty(), "{none:?}");
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
            let _ = gcs_addresses(&raw);
            let _ = split(&raw);
        }
    }
}
