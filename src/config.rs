//! Settings: defaults, units, validation. The environment is read here and nowhere else.

mod env;

use std::fmt;
use std::time::Duration;

use crate::address::{check_label, redact};
pub use env::{Env, Whereabouts};

/// Address when none is passed.
pub const ENV_RAY_ADDRESS: &str = "RAY_ADDRESS";
/// Ray namespace when none is passed, and the Kubernetes namespace's second source.
pub const ENV_SEEDCORE_NS: &str = "SEEDCORE_NS";
/// Ray's own variable for its namespace.
pub const ENV_RAY_NAMESPACE: &str = "RAY_NAMESPACE";
/// Kubernetes namespace.
pub const ENV_POD_NAMESPACE: &str = "POD_NAMESPACE";
/// Base URL of Ray Serve.
pub const ENV_SERVE_GATEWAY: &str = "SERVE_GATEWAY";
/// Which service stands before Ray Serve: `stable` or `serve`.
pub const ENV_SERVE_SERVICE: &str = "SERVE_SERVICE";
/// Path of the ML application.
pub const ENV_SERVE_BASE: &str = "SERVE_BASE_PATH";
/// Path of the cognitive application.
pub const ENV_COG_BASE: &str = "COG_BASE_PATH";
/// Path of the organism application.
pub const ENV_ORG_BASE: &str = "ORG_BASE_PATH";
/// Ray's switch for connecting at the first `.remote()`; ours is off.
pub const ENV_AUTO_CONNECT: &str = "RAY_ENABLE_AUTO_CONNECT";
/// Switch for serving the drop-in modules; read by the hook itself.
pub const ENV_IMPORT_HOOK: &str = "SEEDCORE_RAY_IMPORT_HOOK";
/// Switch for fallback addresses.
pub const ENV_FALLBACKS: &str = "SEEDCORE_RAY_FALLBACKS";

/// Longest time that any setting or argument may ask for: a year. More would be a slip, and would
/// overflow the arithmetic of clocks.
pub const MAX_SECONDS: u32 = 365 * 24 * 3600;

const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// What `KubeRay` sets in every container that runs Ray, and nowhere else.
const RAY_POD_MARKS: [&str; 4] = [
    "RAY_CLUSTER_NAME",
    "RAY_NODE_TYPE_NAME",
    "KUBERAY_GEN_RAY_START_CMD",
    "RAY_USAGE_STATS_KUBERAY_IN_USE",
];

/// A duration that the environment may set, in seconds.
struct TimeSetting {
    name: &'static str,
    default: u32,
    allow_zero: bool,
}

const CONNECT_TIMEOUT: TimeSetting = TimeSetting {
    name: "SEEDCORE_RAY_CONNECT_TIMEOUT_S",
    default: 30,
    allow_zero: true,
};
const PROBE_TIMEOUT: TimeSetting = TimeSetting {
    name: "SEEDCORE_RAY_PROBE_TIMEOUT_S",
    default: 2,
    allow_zero: false,
};
const INIT_TIMEOUT: TimeSetting = TimeSetting {
    name: "SEEDCORE_RAY_INIT_TIMEOUT_S",
    default: 30,
    allow_zero: false,
};

const BREAKER_RESET: TimeSetting = TimeSetting {
    name: "SEEDCORE_RAY_BREAKER_RESET_S",
    default: 5,
    allow_zero: true,
};
const HEALTH_INTERVAL: TimeSetting = TimeSetting {
    name: "SEEDCORE_RAY_HEALTH_INTERVAL_S",
    default: 5,
    allow_zero: true,
};
const LOSS_GRACE: TimeSetting = TimeSetting {
    name: "SEEDCORE_RAY_LOSS_GRACE_S",
    default: 40,
    allow_zero: true,
};
/// Ray's own: a driver whose GCS was away for that long is ended. Read when `ray` is imported.
const RAY_DEADLINE: TimeSetting = TimeSetting {
    name: "RAY_gcs_rpc_server_reconnect_timeout_s",
    default: 60,
    allow_zero: false,
};

/// Where a value came from; shown in the connect log line, in `connection()` and by the doctor.
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

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The variable.
    pub name: &'static str,
    /// What counts.
    pub value: Value,
    /// The variable, or the default.
    pub source: Source,
    /// Why the variable's own value does not count, where it is set and does not.
    pub bad: Option<BadSetting>,
}

/// What a setting can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A duration.
    Seconds(Duration),
    /// On or off.
    Switch(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(duration) => write!(f, "{}", duration.as_secs_f64()),
            Self::Switch(on) => write!(f, "{}", u8::from(*on)),
        }
    }
}

/// A setting whose value in the environment cannot be used; the default is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSetting {
    /// The variable.
    pub name: &'static str,
    /// One line: name, value, what is allowed, the default in use.
    pub message: String,
}

/// Bounds and switches of one connect.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long to wait for an answer: `SEEDCORE_RAY_CONNECT_TIMEOUT_S`, 30 s. 0 is one sweep.
    pub connect_timeout: Duration,
    /// Bound of one probe: `SEEDCORE_RAY_PROBE_TIMEOUT_S`, 2 s.
    pub probe_timeout: Duration,
    /// Bound of `ray.init` itself: `SEEDCORE_RAY_INIT_TIMEOUT_S`, 30 s.
    pub init_timeout: Duration,
    /// How long the breaker opens at first: `SEEDCORE_RAY_BREAKER_RESET_S`, 5 s. 0 is no breaker.
    pub breaker_reset: Duration,
    /// Between two looks of the monitor: `SEEDCORE_RAY_HEALTH_INTERVAL_S`, 5 s. 0 is no monitor.
    pub health_interval: Duration,
    /// How long a silent cluster is hoped for: `SEEDCORE_RAY_LOSS_GRACE_S`, 40 s.
    pub loss_grace: Duration,
    /// When Ray itself would end a driver: `RAY_gcs_rpc_server_reconnect_timeout_s`, 60 s.
    pub ray_deadline: Duration,
    /// Whether fallbacks may be tried: `SEEDCORE_RAY_FALLBACKS`, on unless `0`.
    pub fallbacks: bool,
}

impl Settings {
    /// Reads the environment; what cannot be used is reported and replaced by its default.
    pub fn from_env(env: &Env) -> (Self, Vec<BadSetting>) {
        let mut bad = Vec::new();
        let settings = Self::read(env, &mut |reading| bad.extend(reading.bad));
        (settings, bad)
    }

    /// Every setting with where it came from, in the order of the fields.
    pub fn readings(env: &Env) -> Vec<Reading> {
        let mut readings = Vec::new();
        Self::read(env, &mut |reading| readings.push(reading));
        readings
    }

    /// The one list of them all: what is not read here is neither in force nor shown.
    fn read(env: &Env, tell: &mut impl FnMut(Reading)) -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT.read(env, tell),
            probe_timeout: PROBE_TIMEOUT.read(env, tell),
            init_timeout: INIT_TIMEOUT.read(env, tell),
            breaker_reset: BREAKER_RESET.read(env, tell),
            health_interval: HEALTH_INTERVAL.read(env, tell),
            loss_grace: LOSS_GRACE.read(env, tell),
            ray_deadline: RAY_DEADLINE.read(env, tell),
            fallbacks: read_switch(env, ENV_FALLBACKS, tell),
        }
    }
}

impl TimeSetting {
    fn read(&self, env: &Env, tell: &mut impl FnMut(Reading)) -> Duration {
        let default = Duration::from_secs(self.default.into());
        let given = env.get(self.name).map(|text| {
            let value = text.parse().ok().and_then(|v| duration(v, self.allow_zero));
            value.ok_or_else(|| refusal(self.name, &redact(&text), self.allow_zero))
        });
        settle(self.name, given, default, Value::Seconds, tell)
    }
}

/// A switch that is on by default.
fn read_switch(env: &Env, name: &'static str, tell: &mut impl FnMut(Reading)) -> bool {
    let given = env
        .get(name)
        .map(|text| match text.to_ascii_lowercase().as_str() {
            "0" | "false" | "no" | "off" => Ok(false),
            "1" | "true" | "yes" | "on" => Ok(true),
            _ => Err(format!(
                "{name}={} cannot be used: give 0 or 1",
                redact(&text)
            )),
        });
    settle(name, given, true, Value::Switch, tell)
}

/// What was given if it can be used, else the default; either way told with its source.
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

/// `value` seconds as a duration, or one line that says why not: `name`, `value` and what is
/// allowed. The rules of the settings, for a caller's argument.
pub fn seconds(value: f64, name: &str, allow_zero: bool) -> Result<Duration, String> {
    duration(value, allow_zero).ok_or_else(|| refusal(name, &value.to_string(), allow_zero))
}

/// None for NaN, infinities, the negative, more than a year, and what rounds to a forbidden zero.
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

/// What the surroundings say about Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kubernetes {
    /// `POD_NAMESPACE`, else `SEEDCORE_NS`, else the service-account file.
    pub namespace: Option<String>,
    /// Really inside a cluster: `KUBERNETES_SERVICE_HOST` or the service-account file.
    pub inside: bool,
    /// In a Ray pod, which `KubeRay` marks in the environment.
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
    /// One that cannot be part of a host name is passed over: `SEEDCORE_NS` is Ray's namespace
    /// too, and Ray takes any text.
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
