//! The URLs of Ray Serve, worked out from the environment. Pure, except for [`lookup`].

use std::net::{IpAddr, Ipv6Addr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::address::service::{self, HeadService, OUR_BASE};
use crate::address::{HostPort, host_in};
use crate::config::{
    ENV_COG_BASE, ENV_ORG_BASE, ENV_RAY_ADDRESS, ENV_SERVE_BASE, ENV_SERVE_GATEWAY,
    ENV_SERVE_SERVICE, Env, Kubernetes,
};

/// Default port of Ray Serve's HTTP proxy, as in Ray.
pub const DEFAULT_SERVE_PORT: u16 = 8000;

/// Bound of the look-up of one name.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_millis(400);

const THIS_MACHINE: &str = "127.0.0.1";

/// The paths of the applications: variable and default.
const ML: (&str, &str) = (ENV_SERVE_BASE, "/ml");
const COG: (&str, &str) = (ENV_COG_BASE, "/cognitive");
const ORG: (&str, &str) = (ENV_ORG_BASE, "/organism");

/// An address of `host`, IPv4 first, as Ray prefers it. None if the system's resolver has none
/// within [`LOOKUP_TIMEOUT`]; an IP literal is returned at once.
pub fn lookup(host: &str) -> Option<IpAddr> {
    if let Ok(literal) = host.parse() {
        return Some(literal);
    }
    let name = host.to_owned();
    answers_within(LOOKUP_TIMEOUT, move || {
        let found = (name.as_str(), 0).to_socket_addrs().ok()?;
        found.map(|at| at.ip()).min_by_key(IpAddr::is_ipv6)
    })
}

/// Asks on a thread of its own and leaves it behind at `limit`: `getaddrinfo` has no timeout and
/// cannot be interrupted. The thread never touches Python, so it may outlive the interpreter. None
/// if no thread can be started.
fn answers_within<T: Send + 'static>(
    limit: Duration,
    question: impl FnOnce() -> Option<T> + Send + 'static,
) -> Option<T> {
    let (answer, answered) = mpsc::sync_channel(1);
    let asked = thread::Builder::new()
        .name("seedcore-ray-dns".into())
        .spawn(move || {
            // The receiver is gone after the limit.
            let _ = answer.send(question());
        });
    asked.ok()?;
    answered.recv_timeout(limit).ok()?
}

/// The four URLs of the facade, which serialize under its names: `SERVE_GATEWAY`, `ML`, ...
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Gateway {
    /// Ray Serve's HTTP proxy.
    pub serve_gateway: String,
    /// The ML application.
    pub ml: String,
    /// The cognitive application.
    pub cog: String,
    /// The organism application.
    pub org: String,
}

impl Gateway {
    /// Computes the URLs from the environment. `resolves` is asked for at most three names.
    pub fn from_env(env: &Env, resolves: impl Fn(&str) -> bool) -> Self {
        let gateway = find_gateway(env, resolves);
        Self {
            ml: application(&gateway, None, ML, env),
            cog: application(&gateway, None, COG, env),
            org: application(&gateway, None, ORG, env),
            serve_gateway: gateway,
        }
    }
}

/// The URLs of `get_serve_urls` under `gateway`, in its order. A path that is left out or blank is
/// taken from the environment.
pub fn serve_urls(
    gateway: &str,
    ml_base: Option<&str>,
    cog_base: Option<&str>,
    env: &Env,
) -> [(&'static str, String); 6] {
    let gateway = normalise(gateway);
    let ml = application(&gateway, ml_base, ML, env);
    let cog = application(&gateway, cog_base, COG, env);
    [
        ("gateway", gateway),
        ("ml_root", format!("{ml}/")),
        ("ml_health", format!("{ml}/health")),
        ("ml_salience", format!("{ml}/score/salience")),
        ("cog_root", format!("{cog}/")),
        ("cog_health", format!("{cog}/health")),
    ]
}

/// The URL of one application, with no slash at the end.
fn application(
    gateway: &str,
    path: Option<&str>,
    (variable, default): (&str, &str),
    env: &Env,
) -> String {
    let given = path.map(str::trim).filter(|path| !path.is_empty());
    let path = given.map(str::to_owned).or_else(|| env.get(variable));
    match path.as_deref().unwrap_or(default).trim_matches('/') {
        "" => gateway.to_owned(),
        path => format!("{gateway}/{path}"),
    }
}

fn find_gateway(env: &Env, resolves: impl Fn(&str) -> bool) -> String {
    if let Some(given) = env.get(ENV_SERVE_GATEWAY) {
        return normalise(&given);
    }
    let flavours = match env.get(ENV_SERVE_SERVICE).as_deref() {
        Some("serve") => ["serve", "stable"],
        _ => ["stable", "serve"],
    };
    let namespace = Kubernetes::from_env(env).namespace;
    let namespace = namespace.as_deref();
    let ray_host = env.get(ENV_RAY_ADDRESS).and_then(|text| host_in(&text));
    let near_ray = ray_host.and_then(|host| {
        let mut names = names_near(&host, flavours, namespace).into_iter();
        names.find(|name| name == THIS_MACHINE || resolves(name))
    });
    let our_service = || {
        let name = service::named(OUR_BASE, flavours[0]);
        Some(service::in_namespace(&name, namespace?))
    };
    let host = near_ray.or_else(our_service);
    url(
        "http",
        host.as_deref().unwrap_or(THIS_MACHINE),
        DEFAULT_SERVE_PORT,
    )
}

/// The names under which Serve may be reached beside the host of Ray, by priority.
fn names_near(host: &str, flavours: [&str; 2], namespace: Option<&str>) -> Vec<String> {
    if is_this_machine(host) {
        return vec![THIS_MACHINE.to_owned()];
    }
    let mapped = HeadService::of(host).into_iter().flat_map(|head| {
        let base = head.base_without_run_id().unwrap_or(head.base);
        flavours.map(|flavour| service::named(base, flavour) + head.suffix)
    });
    let qualified = |name: String| match namespace {
        Some(namespace) if !name.contains(['.', ':']) => service::in_namespace(&name, namespace),
        _ => name,
    };
    mapped.chain([host.to_owned()]).map(qualified).collect()
}

/// Whether `host` is loopback, `localhost` or the unspecified address.
fn is_this_machine(host: &str) -> bool {
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) => ip.is_loopback() || ip.is_unspecified(),
        Err(_) => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}

/// Normalises a gateway to `scheme://host:port`.
///
/// A blank text, or one without a possible host, gives `http://127.0.0.1:8000`. `ray://` is dropped,
/// any other scheme kept (default `http`), a missing or impossible port becomes 8000. Path, query
/// and user info are dropped; an IPv6 host gets brackets.
pub fn normalise(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("ray://").unwrap_or(text);
    let (scheme, rest) = split_scheme(text);
    let rest = rest.trim_start_matches('/');
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Any earlier `@` belongs to the password.
    let (_, server) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = split_port(server);
    if is_host(host) {
        url(&scheme, host, port)
    } else {
        url("http", THIS_MACHINE, DEFAULT_SERVE_PORT)
    }
}

/// The scheme in lower case, `http` when there is none.
fn split_scheme(text: &str) -> (String, &str) {
    match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => ("http".to_owned(), text),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// The host without brackets, and the port, [`DEFAULT_SERVE_PORT`] where none can be used.
fn split_port(authority: &str) -> (&str, u16) {
    if authority.parse::<Ipv6Addr>().is_ok() {
        return (authority, DEFAULT_SERVE_PORT);
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
        Some((host, after)) => (host, after.trim_start_matches(':')),
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let port = port.parse().ok().filter(|&port| port != 0);
    (host, port.unwrap_or(DEFAULT_SERVE_PORT))
}

/// Whether `text` can be a host of HTTP: unlike one of Ray, it may have letters of any language.
fn is_host(text: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    text.parse::<Ipv6Addr>().is_ok() || (!text.is_empty() && text.chars().all(is_name))
}

fn url(scheme: &str, host: &str, port: u16) -> String {
    let host = host.to_owned();
    format!("{scheme}://{}", HostPort { host, port })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_slow_look_up_is_left_behind() {
        let began = Instant::now();
        let (release, released) = mpsc::channel::<()>();
        let limit = Duration::from_millis(30);
        assert_eq!(answers_within(limit, move || released.recv().ok()), None);
        assert!(began.elapsed() >= limit);
        drop(release);
    }

    #[test]
    fn a_look_up_in_time_counts_as_it_answers() {
        let limit = Duration::from_secs(30);
        assert_eq!(answers_within(limit, || Some(1)), Some(1));
        assert_eq!(answers_within(limit, || None::<u8>), None);
    }

    #[test]
    fn a_look_up_that_panics_gives_none_at_once() {
        let began = Instant::now();
        let limit = Duration::from_secs(30);
        let panics = || -> Option<u8> { std::panic::panic_any("no") };
        assert_eq!(answers_within(limit, panics), None);
        assert!(began.elapsed() < limit);
    }
}
