//! Serve URLs (contract, section 5). Pure but for one injected resolver.

use std::net::{IpAddr, Ipv6Addr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::address::host_in;
use crate::address::service::{self, HeadService, OUR_BASE};
use crate::config::{
    ENV_COG_BASE, ENV_ORG_BASE, ENV_RAY_ADDRESS, ENV_SERVE_BASE, ENV_SERVE_GATEWAY,
    ENV_SERVE_SERVICE, Env, Kubernetes,
};

/// Default port of Ray Serve's HTTP proxy, as in Ray.
pub const DEFAULT_SERVE_PORT: u16 = 8000;

/// How long one name may take to resolve.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_millis(400);

const THIS_MACHINE: &str = "127.0.0.1";

/// Answers whether a name resolves. The real one is bounded by 0.4 s whatever the system does.
pub trait Resolver {
    /// True when `host` has an address.
    fn resolves(&self, host: &str) -> bool;
}

/// The system's resolver, bounded by [`LOOKUP_TIMEOUT`] a name. IP literals answer at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolves(&self, host: &str) -> bool {
        lookup(host).is_some()
    }
}

/// An address of `host`, IPv4 first: that is what Ray itself goes by. None after
/// [`LOOKUP_TIMEOUT`].
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

/// Asks on a thread of its own, which is left behind when its time is up: `getaddrinfo` heeds no
/// timeout and cannot be interrupted. Such a thread never touches Python, so it may outlive the
/// interpreter. Without a thread there is no answer.
fn answers_within<T: Send + 'static>(
    limit: Duration,
    question: impl FnOnce() -> Option<T> + Send + 'static,
) -> Option<T> {
    let (answer, answered) = mpsc::sync_channel(1);
    let asked = thread::Builder::new()
        .name("seedcore-ray-dns".into())
        .spawn(move || {
            // Nobody listens any more after the limit.
            let _ = answer.send(question());
        });
    asked.ok()?;
    answered.recv_timeout(limit).ok()?
}

/// The four URLs of the facade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// `SERVE_GATEWAY`
    pub serve_gateway: String,
    /// `ML`
    pub ml: String,
    /// `COG`
    pub cog: String,
    /// `ORG`
    pub org: String,
}

impl Gateway {
    /// Computes the URLs from the environment. Asks the resolver for three names at the most.
    pub fn from_env(env: &Env, resolver: &dyn Resolver) -> Self {
        let serve_gateway = find_gateway(env, resolver);
        let url = |variable: &str, default: &str| {
            let given = env.get(variable);
            format!(
                "{serve_gateway}{}",
                path(given.as_deref().unwrap_or(default))
            )
        };
        Self {
            ml: url(ENV_SERVE_BASE, "/ml"),
            cog: url(ENV_COG_BASE, "/cognitive"),
            org: url(ENV_ORG_BASE, "/organism"),
            serve_gateway,
        }
    }
}

/// The URLs of `get_serve_urls`, in its order. What is left out or blank is taken from `gateway`.
pub fn serve_urls(
    gateway: &Gateway,
    base_gateway: Option<&str>,
    ml_base: Option<&str>,
    cog_base: Option<&str>,
) -> [(&'static str, String); 6] {
    let base = given(base_gateway).map_or_else(|| gateway.serve_gateway.clone(), normalise);
    let under = |base_path: Option<&str>, url: &str| match given(base_path) {
        Some(text) => format!("{base}{}", path(text)),
        // What follows the gateway in its own URL is the path.
        None => format!(
            "{base}{}",
            url.strip_prefix(&gateway.serve_gateway).unwrap_or(url)
        ),
    };
    let ml = under(ml_base, &gateway.ml);
    let cog = under(cog_base, &gateway.cog);
    [
        ("gateway", base.clone()),
        ("ml_root", format!("{ml}/")),
        ("ml_health", format!("{ml}/health")),
        ("ml_salience", format!("{ml}/score/salience")),
        ("cog_root", format!("{cog}/")),
        ("cog_health", format!("{cog}/health")),
    ]
}

fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// One leading slash, none at the end; the root is empty.
fn path(text: &str) -> String {
    match text.trim_matches('/') {
        "" => String::new(),
        inner => format!("/{inner}"),
    }
}

fn find_gateway(env: &Env, resolver: &dyn Resolver) -> String {
    if let Some(given) = env.get(ENV_SERVE_GATEWAY) {
        return normalise(&given);
    }
    let flavours = match env.get(ENV_SERVE_SERVICE).as_deref() {
        Some("serve") => ["serve", "stable"],
        _ => ["stable", "serve"],
    };
    let namespace = Kubernetes::from_env(env).namespace;
    let ray_host = env.get(ENV_RAY_ADDRESS).and_then(|text| host_in(&text));
    if let Some(host) = ray_host {
        if is_this_machine(&host) {
            return url("http", THIS_MACHINE, DEFAULT_SERVE_PORT);
        }
        let mut names = names_near(&host, flavours, namespace.as_deref()).into_iter();
        if let Some(name) = names.find(|name| resolver.resolves(name)) {
            return url("http", &name, DEFAULT_SERVE_PORT);
        }
    }
    let host = namespace.map_or(THIS_MACHINE.to_owned(), |namespace| {
        service::in_namespace(&service::named(OUR_BASE, flavours[0]), &namespace)
    });
    url("http", &host, DEFAULT_SERVE_PORT)
}

/// Where Serve may be reached, given the host of Ray: by priority, qualified where that helps.
fn names_near(host: &str, flavours: [&str; 2], namespace: Option<&str>) -> Vec<String> {
    let mapped = HeadService::of(host).into_iter().flat_map(|head| {
        let base = head.base_without_run_id().unwrap_or(head.base);
        flavours.map(|flavour| service::named(base, flavour) + head.suffix)
    });
    let names = mapped.chain([host.to_owned()]);
    match namespace {
        Some(namespace) => names.map(|name| qualified(name, namespace)).collect(),
        None => names.collect(),
    }
}

fn qualified(name: String, namespace: &str) -> String {
    if name.contains(['.', ':']) {
        name
    } else {
        service::in_namespace(&name, namespace)
    }
}

/// Loopback, `localhost`, and the address that means "any of mine".
fn is_this_machine(host: &str) -> bool {
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) => ip.is_loopback() || ip.is_unspecified(),
        Err(_) => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}

/// `scheme://host:port` of what somebody wrote for a gateway.
///
/// Blank, or nothing that can be a host, gives `http://127.0.0.1:8000`. `ray://` is dropped, any
/// other scheme kept (default `http`), a missing or impossible port becomes 8000. Path, query and
/// user info are dropped; an IPv6 host gets brackets.
pub fn normalise(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("ray://").unwrap_or(text);
    let (scheme, rest) = split_scheme(text);
    let authority = rest
        .trim_start_matches('/')
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default();
    // The last `@`: the ones before it belong to a password.
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = split_port(authority);
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

/// Host without brackets, and a port that can be used.
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

/// Looser than a Ray address: HTTP clients take names with letters of any language.
fn is_host(text: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    text.parse::<Ipv6Addr>().is_ok() || (!text.is_empty() && text.chars().all(is_name))
}

fn url(scheme: &str, host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("{scheme}://[{host}]:{port}")
    } else {
        format!("{scheme}://{host}:{port}")
    }
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
