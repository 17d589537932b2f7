//! Settings: defaults, units, validation. This is the only place that reads the environment.

mod env;
mod standbys;

use std::fmt;
use std::time::Duration;

use crate::address::{RayAddress, check_label, redact};
pub use env::{Env, Whereabouts};

/// The address when none is passed.
pub const ENV_RAY_ADDRESS: &str = "RAY_ADDRESS";
/// The Ray namespace when none is passed, and the second source of the Kubernetes namespace.
pub const ENV_SEEDCORE_NS: &str = "SEEDCORE_NS";
/// Ray's own variable for its namespace.
pub const ENV_RAY_NAMESPACE: &str = "RAY_NAMESPACE";
/// Kubernetes namespace.
pub const ENV_POD_NAMESPACE: &str = "POD_NAMESPACE";
/// Base URL of Ray Serve.
pub const ENV_SERVE_GATEWAY: &str = "SERVE_GATEWAY";
/// Which service is in front of Ray Serve: `stable` or `serve`.
pub const ENV_SERVE_SERVICE: &str = "SERVE_SERVICE";
/// Path of the ML application.
pub const ENV_SERVE_BASE: &str = "SERVE_BASE_PATH";
/// Path of the cognitive application.
pub const ENV_COG_BASE: &str = "COG_BASE_PATH";
/// Path of the organism application.
pub const ENV_ORG_BASE: &str = "ORG_BASE_PATH";
/// Ray's switch for connecting at the first `.remote()`; ours is off.
pub const ENV_AUTO_CONNECT: &str = "RAY_ENABLE_AUTO_CONNECT";
/// Switch for the drop-in modules; read by the import hook itself.
pub const ENV_IMPORT_HOOK: &str = "SEEDCORE_RAY_IMPORT_HOOK";
/// Switch for fallback addresses.
pub const ENV_FALLBACKS: &str = "SEEDCORE_RAY_FALLBACKS";
/// Addresses of other clusters.
pub const ENV_STANDBYS: &str = "SEEDCORE_RAY_STANDBY_ADDRESSES";
/// The usual bound of `ray.init`, in seconds.
const INIT_S: u64 = 30;
const ENV_INIT_TIMEOUT: &str = "SEEDCORE_RAY_INIT_TIMEOUT_S";
const ENV_LOSS_GRACE: &str = "SEEDCORE_RAY_LOSS_GRACE_S";
const ENV_RAY_DEADLINE: &str = "RAY_gcs_rpc_server_reconnect_timeout_s";
const ENV_RAY_CLIENT_GRACE: &str = "RAY_CLIENT_RECONNECT_GRACE_PERIOD";
/// Switch for the guard of calls that wait for the GCS.
pub const ENV_GUARD_CALLS: &str = "SEEDCORE_RAY_GUARD_CALLS";

/// The longest duration that a setting or an argument may have: a year. More would be a mistake, and
/// could overflow an `Instant`.
pub const MAX_SECONDS: u32 = 365 * 24 * 3600;

const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// What `KubeRay` sets in every container that runs Ray, and nowhere else.
const RAY_POD_MARKS: [&str; 4] = [
    "RAY_CLUSTER_NAME",
    "RAY_NODE_TYPE_NAME",
    "KUBERAY_GEN_RAY_START_CMD",
    "RAY_USAGE_STATS_KUBERAY_IN_USE",
];

/// Where a value comes from. Shown in the connect log line, in `connection()` and by the doctor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The caller's argument.
    Argument,
    /// An environment variable, by name.
    Env(&'static str),
    /// Our default.
    Default,
}

impl Source {
    /// `argument`, the variable's name, or `default`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Argument => "argument",
            Self::Env(name) => name,
            Self::Default => "default",
        }
    }
}

/// One setting as it is in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The variable.
    pub name: &'static str,
    /// The value in effect.
    pub value: Value,
    /// The variable, or the default.
    pub source: Source,
    /// Why the variable is ignored, if it is set and its value is invalid.
    pub bad: Option<BadSetting>,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A duration.
    Seconds(Duration),
    /// On or off.
    Switch(bool),
    /// Addresses, by priority.
    Addresses(Vec<RayAddress>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(duration) => write!(f, "{}", duration.as_secs_f64()),
            Self::Switch(on) => write!(f, "{}", u8::from(*on)),
            Self::Addresses(addresses) if addresses.is_empty() => f.write_str("none"),
            Self::Addresses(addresses) => {
                let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                f.write_str(&shown.join(","))
            }
        }
    }
}

/// A setting whose value in the environment is invalid, so that the default is used; of a list, what
/// is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSetting {
    /// The variable.
    pub name: &'static str,
    /// One line with the name, the value, the allowed values and what is used instead.
    pub message: String,
}

/// Bounds and switches of one connect.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long a connect tries: `SEEDCORE_RAY_CONNECT_TIMEOUT_S`, 30 s. 0 means one sweep.
    pub connect_timeout: Duration,
    /// Bound of one probe: `SEEDCORE_RAY_PROBE_TIMEOUT_S`, 2 s.
    pub probe_timeout: Duration,
    /// Bound of `ray.init` itself, where that was set: `SEEDCORE_RAY_INIT_TIMEOUT_S`. Else as
    /// [`Settings::init_timeout`] says.
    pub init_timeout: Option<Duration>,
    /// How long the breaker opens at first: `SEEDCORE_RAY_BREAKER_RESET_S`, 5 s. 0 switches it off.
    pub breaker_reset: Duration,
    /// Interval of the monitor's checks: `SEEDCORE_RAY_HEALTH_INTERVAL_S`, 5 s. 0 switches it off.
    pub health_interval: Duration,
    /// How long a silent cluster is waited for, where that was set: `SEEDCORE_RAY_LOSS_GRACE_S`. Else
    /// 40 s, or longer where Ray itself was told to wait longer ([`crate::health::grace`]).
    pub loss_grace: Option<Duration>,
    /// After how long without a GCS Ray itself ends a driver, where that was set; else the cluster's
    /// configuration says so, or 60 s. Ray reads its variable,
    /// `RAY_gcs_rpc_server_reconnect_timeout_s`, when `ray` is imported (docs/ray-internals.md, When
    /// the cluster dies).
    pub ray_deadline: Option<Duration>,
    /// How long a Ray Client itself tries to reach its server again, 30 s:
    /// `RAY_CLIENT_RECONNECT_GRACE_PERIOD`. The server keeps the session as long.
    pub ray_client_grace: Duration,
    /// Whether fallbacks may be tried: `SEEDCORE_RAY_FALLBACKS`, on unless `0`.
    pub fallbacks: bool,
    /// Other clusters to connect to when the one that was asked for is away, by priority:
    /// `SEEDCORE_RAY_STANDBY_ADDRESSES`, none.
    pub standbys: Vec<RayAddress>,
    /// Whether calls that wait for the GCS are guarded: `SEEDCORE_RAY_GUARD_CALLS`, on unless `0`.
    pub guard_calls: bool,
}

impl Settings {
    /// Reads the environment. An invalid value is reported and replaced by its default.
    pub fn from_env(env: &Env) -> (Self, Vec<BadSetting>) {
        let mut bad = Vec::new();
        let settings = Self::read(env, &mut |reading| bad.extend(reading.bad));
        (settings, bad)
    }

    /// Every setting with its source, in the order of the fields.
    pub fn readings(env: &Env) -> Vec<Reading> {
        let mut readings = Vec::new();
        Self::read(env, &mut |reading| readings.push(reading));
        readings
    }

    /// The bound of `ray.init`. Without an explicit one, a `runtime_env` that is built meanwhile adds
    /// Ray's own bound for that, `setup`.
    pub fn init_timeout(&self, setup: Option<Duration>) -> Duration {
        self.init_timeout.unwrap_or_else(|| {
            Duration::from_secs(INIT_S).saturating_add(setup.unwrap_or_default())
        })
    }

    /// The only list of all settings: one that is not read here is neither in effect nor shown.
    fn read(env: &Env, tell: &mut impl FnMut(Reading)) -> Self {
        Self {
            connect_timeout: read_time(
                env,
                "SEEDCORE_RAY_CONNECT_TIMEOUT_S",
                30,
                Zero::Allowed,
                tell,
            ),
            probe_timeout: read_time(env, "SEEDCORE_RAY_PROBE_TIMEOUT_S", 2, Zero::Refused, tell),
            init_timeout: read_given(env, ENV_INIT_TIMEOUT, INIT_S, Zero::Refused, tell),
            breaker_reset: read_time(env, "SEEDCORE_RAY_BREAKER_RESET_S", 5, Zero::Allowed, tell),
            health_interval: read_time(
                env,
                "SEEDCORE_RAY_HEALTH_INTERVAL_S",
                5,
                Zero::Allowed,
                tell,
            ),
            loss_grace: read_given(env, ENV_LOSS_GRACE, 40, Zero::Allowed, tell),
            ray_deadline: read_given(env, ENV_RAY_DEADLINE, 60, Zero::Refused, tell),
            ray_client_grace: read_time(env, ENV_RAY_CLIENT_GRACE, 30, Zero::Allowed, tell),
            fallbacks: read_switch(env, ENV_FALLBACKS, tell),
            standbys: standbys::read(env, ENV_STANDBYS, tell),
            guard_calls: read_switch(env, ENV_GUARD_CALLS, tell),
        }
    }
}

/// Whether a duration may be zero.
#[derive(Clone, Copy, PartialEq)]
enum Zero {
    Allowed,
    Refused,
}

/// A duration in seconds.
fn read_time(
    env: &Env,
    name: &'static str,
    default: u64,
    zero: Zero,
    tell: &mut impl FnMut(Reading),
) -> Duration {
    let allow_zero = zero == Zero::Allowed;
    let given = env.get(name).map(|text| {
        let value = text.parse().ok().and_then(|v| duration(v, allow_zero));
        value.ok_or_else(|| refusal(name, &redact(&text), allow_zero))
    });
    let default = Duration::from_secs(default);
    settle(name, given, default, Value::Seconds, tell)
}

/// As [`read_time`]; `None` when the default is in use.
fn read_given(
    env: &Env,
    name: &'static str,
    default: u64,
    zero: Zero,
    tell: &mut impl FnMut(Reading),
) -> Option<Duration> {
    let mut is_given = false;
    let value = read_time(env, name, default, zero, &mut |reading| {
        is_given = reading.source != Source::Default;
        tell(reading);
    });
    is_given.then_some(value)
}

/// A switch that is on by default.
fn read_switch(env: &Env, name: &'static str, tell: &mut impl FnMut(Reading)) -> bool {
    let given = env.get(name).map(|text| {
        let refused = || format!("{name}={} cannot be used: give 0 or 1", redact(&text));
        match text.to_ascii_lowercase().as_str() {
            "0" | "false" | "no" | "off" => Ok(false),
            "1" | "true" | "yes" | "on" => Ok(true),
            _ => Err(refused()),
        }
    });
    settle(name, given, true, Value::Switch, tell)
}

/// The given value if it is valid, else the default. `tell` gets either with its source.
fn settle<T: Copy>(
    name: &'static str,
    given: Option<Result<T, String>>,
    default: T,
    shown: fn(T) -> Value,
    tell: &mut impl FnMut(Reading),
) -> T {
    let (value, source, refusal) = match given {
        Some(Ok(value)) => (value, Source::Env(name), None),
        Some(Err(refusal)) => (default, Source::Default, Some(refusal)),
        None => (default, Source::Default, None),
    };
    tell(Reading {
        name,
        value: shown(value),
        source,
        bad: refusal.map(|refusal| BadSetting {
            name,
            message: format!("{refusal}; using the default, {}", shown(default)),
        }),
    });
    value
}

/// `value` seconds as a duration, by the rules of the settings: for a caller's argument.
///
/// # Errors
/// One line with `name`, the value and the allowed values.
pub fn seconds(value: f64, name: &str, allow_zero: bool) -> Result<Duration, String> {
    duration(value, allow_zero).ok_or_else(|| refusal(name, &value.to_string(), allow_zero))
}

/// `None` for NaN, infinities, negative values, more than a year, and a zero that is not allowed.
fn duration(value: f64, allow_zero: bool) -> Option<Duration> {
    if value > f64::from(MAX_SECONDS) {
        return None;
    }
    let duration = Duration::try_from_secs_f64(value).ok()?;
    (allow_zero || !duration.is_zero()).then_some(duration)
}

fn refusal(name: &str, value: &str, allow_zero: bool) -> String {
    let from = if allow_zero { "from 0" } else { "above 0" };
    format!("{name}={value} cannot be used: give seconds {from} to {MAX_SECONDS} (a year)")
}

/// What the environment says about Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kubernetes {
    /// `POD_NAMESPACE`, else `SEEDCORE_NS`, else the service-account file.
    pub namespace: Option<String>,
    /// Whether this process runs in a cluster: `KUBERNETES_SERVICE_HOST` or the service-account file.
    pub inside: bool,
    /// Whether this is a Ray pod, which `KubeRay` marks in the environment.
    pub ray_pod: bool,
}

impl Kubernetes {
    /// Reads the environment and the service-account file.
    pub fn from_env(env: &Env) -> Self {
        let has_account = env.file(SERVICE_ACCOUNT_NAMESPACE).is_some();
        Self {
            namespace: Self::namespace(env).map(|(name, _)| name),
            inside: has_account || env.get("KUBERNETES_SERVICE_HOST").is_some(),
            ray_pod: RAY_POD_MARKS.iter().any(|mark| env.get(mark).is_some()),
        }
    }

    /// The namespace, and the variable or file that names it.
    ///
    /// A name that cannot be part of a host name is skipped: `SEEDCORE_NS` is Ray's namespace too, and
    /// Ray accepts any text.
    pub fn namespace(env: &Env) -> Option<(String, &'static str)> {
        [
            (env.get(ENV_POD_NAMESPACE), ENV_POD_NAMESPACE),
            (env.get(ENV_SEEDCORE_NS), ENV_SEEDCORE_NS),
            (
                env.file(SERVICE_ACCOUNT_NAMESPACE),
                SERVICE_ACCOUNT_NAMESPACE,
            ),
        ]
        .into_iter()
        .filter_map(|(name, source)| Some((name?, source)))
        .find(|(name, _)| check_label(name).is_ok())
    }
}
