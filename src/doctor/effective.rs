//! The settings in force, each with its source. Pure.

use std::path::Path;

use serde::Serialize;

use crate::address::{RayAddress, printable, redact};
use crate::config::{
    ENV_AUTO_CONNECT, ENV_COG_BASE, ENV_IMPORT_HOOK, ENV_ORG_BASE, ENV_POD_NAMESPACE,
    ENV_RAY_ADDRESS, ENV_RAY_NAMESPACE, ENV_SEEDCORE_NS, ENV_SERVE_BASE, ENV_SERVE_GATEWAY, Env,
    Kubernetes, Reading, Settings, Source,
};
use crate::error::ConnectError;
use crate::gateway::Gateway;
use crate::probe::{AuthMode, Credentials};
use crate::target::{NamespaceArg, Target, resolve_namespace, written_address};

/// One setting in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Its name, without the prefix of its variable: `connect_timeout_s`.
    pub name: String,
    /// The value in force; safe to show.
    pub value: String,
    /// `argument`, a variable, a file, `derived` or `default`.
    pub source: String,
    /// The variables that set it; the first that is set wins.
    pub variables: Vec<&'static str>,
    /// A remark on the value, or why what was given cannot be used.
    pub note: Option<String>,
    /// Whether what was given can be used.
    pub ok: bool,
}

impl Effective {
    fn new(
        name: &str,
        value: impl Into<String>,
        source: impl Into<String>,
        variables: &[&'static str],
    ) -> Self {
        Self {
            name: name.to_owned(),
            value: value.into(),
            source: source.into(),
            variables: variables.to_vec(),
            note: None,
            ok: true,
        }
    }
}

/// The settings of a connect to `argument`, which `env` and `argument` resolve to `target`.
pub fn connection(
    argument: Option<&str>,
    target: &Result<Target, ConnectError>,
    env: &Env,
) -> Vec<Effective> {
    let mut all = vec![address(argument, target, env), namespace(env)];
    all.extend(Settings::readings(env).into_iter().map(ours));
    all.extend(process(env));
    all.extend(credentials(target, env));
    all
}

/// The settings of the Ray Serve URLs, and the URLs themselves.
pub fn serve(env: &Env, gateway: &Gateway) -> Vec<Effective> {
    let kubernetes = Kubernetes::namespace(env);
    let (namespace, from) = kubernetes.unwrap_or_else(|| ("none".to_owned(), "default"));
    let given = env.get(ENV_SERVE_GATEWAY).map(|_| ENV_SERVE_GATEWAY);
    let url = |name, url: &str, set_by| variable(name, &printable(url), set_by, env);
    vec![
        Effective::new(
            "kubernetes_namespace",
            namespace,
            from,
            &[ENV_POD_NAMESPACE, ENV_SEEDCORE_NS],
        ),
        Effective {
            source: given.unwrap_or("derived").to_owned(),
            ..url("serve_gateway", &gateway.serve_gateway, ENV_SERVE_GATEWAY)
        },
        url("ml", &gateway.ml, ENV_SERVE_BASE),
        url("cog", &gateway.cog, ENV_COG_BASE),
        url("org", &gateway.org, ENV_ORG_BASE),
    ]
}

/// A setting that one variable alone decides.
fn variable(name: &str, value: &str, set_by: &'static str, env: &Env) -> Effective {
    let source = env.get(set_by).map_or("default", |_| set_by);
    Effective::new(name, value, source, &[set_by])
}

fn address(argument: Option<&str>, target: &Result<Target, ConnectError>, env: &Env) -> Effective {
    let written = written_address(argument, env);
    let (text, source) = written.unwrap_or((String::new(), Source::Default));
    let shown = match target {
        Ok(target) => target.address.to_string(),
        Err(_) => redact(&text),
    };
    let overrides = argument.is_some_and(|text| text.trim() == "auto");
    let note = match target {
        Err(error) => Some(error.message.clone()),
        Ok(_) if overrides && source != Source::Argument => Some(format!(
            "{ENV_RAY_ADDRESS} takes the place of the `auto` that was asked for, as in Ray; unset \
             it to mean the Ray of this machine"
        )),
        Ok(_) => None,
    };
    Effective {
        note,
        ok: target.is_ok(),
        ..Effective::new("address", shown, source.as_str(), &[ENV_RAY_ADDRESS])
    }
}

fn namespace(env: &Env) -> Effective {
    let (name, source) = resolve_namespace(&NamespaceArg::LeftOut, env);
    let name = name.unwrap_or_default();
    let variables = [ENV_SEEDCORE_NS, ENV_RAY_NAMESPACE];
    Effective::new("namespace", printable(&name), source.as_str(), &variables)
}

/// One of this library's own settings.
fn ours(reading: Reading) -> Effective {
    let name = short_name(reading.name, "SEEDCORE_RAY_");
    let (value, source) = (reading.value.to_string(), reading.source.as_str());
    Effective {
        ok: reading.bad.is_none(),
        note: reading.bad.map(|bad| bad.message),
        ..Effective::new(&name, value, source, &[reading.name])
    }
}

/// The settings of the process as a whole.
fn process(env: &Env) -> [Effective; 2] {
    let is_off = env.get(ENV_IMPORT_HOOK).as_deref() == Some("0");
    let hook = if is_off { "0" } else { "1" };
    let auto_connect = env.get(ENV_AUTO_CONNECT);
    let auto_connect = auto_connect.map_or_else(|| "0".to_owned(), |text| printable(&text));
    [
        variable("import_hook", hook, ENV_IMPORT_HOOK, env),
        variable("auto_connect", &auto_connect, ENV_AUTO_CONNECT, env),
    ]
}

/// Ray's own token and TLS files, for `target`. A token is shown by its location only.
fn credentials(target: &Result<Target, ConnectError>, env: &Env) -> Vec<Effective> {
    let is_auto = matches!(target, Ok(target) if target.address == RayAddress::Auto);
    let credentials = Credentials::from_env(env, is_auto);
    let tls = if credentials.tls.is_some() { "1" } else { "0" };
    let mut all = vec![
        token(&credentials),
        variable("use_tls", tls, "RAY_USE_TLS", env),
    ];
    if let Some(files) = &credentials.tls {
        all.extend([
            tls_file("RAY_TLS_CA_CERT", files.ca.as_deref()),
            tls_file("RAY_TLS_SERVER_CERT", files.cert.as_deref()),
            tls_file("RAY_TLS_SERVER_KEY", files.key.as_deref()),
        ]);
    }
    all
}

fn token(credentials: &Credentials) -> Effective {
    let place = printable(&credentials.token_source);
    let (value, source, note) = match credentials.mode {
        AuthMode::Token if credentials.token.is_some() => ("sent", place, None),
        AuthMode::Token => (
            "none",
            "default".to_owned(),
            Some(format!(
                "RAY_AUTH_MODE=token, but none was found, looked in {place}"
            )),
        ),
        AuthMode::Unset { found: true } => (
            "not sent",
            place,
            Some(
                "RAY_AUTH_MODE is not set, so Ray sends no token to an explicit address; set \
                 RAY_AUTH_MODE=token if the cluster wants one"
                    .to_owned(),
            ),
        ),
        AuthMode::Unset { found: false } => ("none", "default".to_owned(), None),
        AuthMode::Off => ("not sent", "RAY_AUTH_MODE".to_owned(), None),
    };
    let variables = ["RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"];
    Effective {
        note,
        ok: credentials.mode != AuthMode::Token || credentials.token.is_some(),
        ..Effective::new("token", value, source, &variables)
    }
}

fn tls_file(variable: &'static str, path: Option<&Path>) -> Effective {
    let name = short_name(variable, "RAY_");
    match path.map(|path| printable(&path.to_string_lossy())) {
        Some(path) => Effective::new(&name, path, variable, &[variable]),
        None => Effective {
            note: Some(format!("RAY_USE_TLS is set, but {variable} is not")),
            ok: false,
            ..Effective::new(&name, "none", "default", &[variable])
        },
    }
}

fn short_name(variable: &str, prefix: &str) -> String {
    variable.trim_start_matches(prefix).to_ascii_lowercase()
}
