//! Which address and namespace are meant, where each came from, and what else may be tried.

use std::hash::{Hash, Hasher};

use crate::address::service::{self, HeadService, OUR_BASE};
use crate::address::{DEFAULT_CLIENT_PORT, HostPort, RayAddress, check_host};
pub use crate::config::Source;
use crate::config::{ENV_RAY_ADDRESS, ENV_RAY_NAMESPACE, ENV_SEEDCORE_NS, Env, Kubernetes};
use crate::error::ConnectError;

/// The namespace when nothing names one.
pub const DEFAULT_NAMESPACE: &str = "seedcore-dev";

/// A namespace argument: left out is not the same as `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceArg<'a> {
    /// Not given: environment, else `seedcore-dev`.
    LeftOut,
    /// `None` was passed: environment, else Ray's anonymous namespace.
    Anonymous,
    /// A name.
    Named(&'a str),
}

/// What a call asks for. Two calls with equal targets share one connect.
///
/// Equality and hash look at address and namespace only: a caller who spells out what another
/// one's environment says wants the same connection, and the same breaker.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address.
    pub address: RayAddress,
    /// Where it came from.
    pub address_source: Source,
    /// `None` is Ray's anonymous namespace.
    pub namespace: Option<String>,
    /// Where it came from.
    pub namespace_source: Source,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address && self.namespace == other.namespace
    }
}

impl Eq for Target {}

impl Hash for Target {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address.hash(state);
        self.namespace.hash(state);
    }
}

impl Target {
    /// Resolves arguments and environment (contract, section 4).
    pub fn resolve(
        address: Option<&str>,
        namespace: &NamespaceArg<'_>,
        env: &Env,
    ) -> Result<Self, ConnectError> {
        let (address, address_source) = resolve_address(address, env)?;
        let (namespace, namespace_source) = resolve_namespace(namespace, env);
        Ok(Self {
            address,
            address_source,
            namespace,
            namespace_source,
        })
    }

    /// The fallbacks by priority, without the address itself (contract, section 4). Empty when
    /// there are none. For `Auto` these apply only when the address is [`Source::Default`].
    pub fn fallbacks(&self, kubernetes: &Kubernetes) -> Vec<RayAddress> {
        let namespace = kubernetes.namespace.as_deref();
        match &self.address {
            RayAddress::Local => Vec::new(),
            RayAddress::Auto => {
                let outside = !kubernetes.inside || kubernetes.ray_pod;
                if outside || self.address_source != Source::Default {
                    return Vec::new();
                }
                our_stable_hosts(namespace)
                    .into_iter()
                    .take(1)
                    .map(client_at)
                    .collect()
            }
            address @ (RayAddress::Gcs(at) | RayAddress::Client(at)) => HeadService::of(&at.host)
                .map(|head| head_fallbacks(address, &head, namespace))
                .unwrap_or_default(),
        }
    }
}

/// The address that is meant, as it was written, and where; None when nobody wrote one.
///
/// An explicit `auto` gives way to `RAY_ADDRESS`, as in Ray.
pub fn written_address(argument: Option<&str>, env: &Env) -> Option<(String, Source)> {
    let argument = argument.map(str::trim).filter(|text| !text.is_empty());
    let from_env = || Some((env.get(ENV_RAY_ADDRESS)?, Source::Env(ENV_RAY_ADDRESS)));
    match argument {
        Some("auto") => from_env().or_else(|| Some(("auto".to_owned(), Source::Argument))),
        Some(text) => Some((text.to_owned(), Source::Argument)),
        None => from_env(),
    }
}

fn resolve_address(
    argument: Option<&str>,
    env: &Env,
) -> Result<(RayAddress, Source), ConnectError> {
    let Some((text, source)) = written_address(argument, env) else {
        return Ok((RayAddress::Auto, Source::Default));
    };
    let address = RayAddress::parse(&text).map_err(|mut error| {
        if let Source::Env(name) = source {
            // Whoever reads the log did not necessarily set the variable.
            error.message = format!("{name}: {}", error.message);
        }
        error
    })?;
    Ok((address, source))
}

/// The namespace and where it came from. A blank name counts as left out.
pub fn resolve_namespace(argument: &NamespaceArg<'_>, env: &Env) -> (Option<String>, Source) {
    if let NamespaceArg::Named(name) = argument
        && !name.trim().is_empty()
    {
        return (Some(name.trim().to_owned()), Source::Argument);
    }
    for variable in [ENV_SEEDCORE_NS, ENV_RAY_NAMESPACE] {
        if let Some(name) = env.get(variable) {
            return (Some(name), Source::Env(variable));
        }
    }
    match argument {
        NamespaceArg::Anonymous => (None, Source::Argument),
        _ => (Some(DEFAULT_NAMESPACE.to_owned()), Source::Default),
    }
}

/// The stable services of a head service, in the form and at the port of `address`; for our own
/// cluster also the well-known one of Ray Client.
///
/// The base with its last part kept comes first: if a service of that very name exists, it is the
/// right one, whereas without a part that was a word (`seedcore-train`) the name may be another
/// cluster's. A real run id costs nothing that way, since no stable service carries one and all
/// candidates are probed side by side.
fn head_fallbacks(
    address: &RayAddress,
    head: &HeadService<'_>,
    namespace: Option<&str>,
) -> Vec<RayAddress> {
    let mut found = Vec::new();
    let bases = [Some(head.base), head.base_without_run_id()];
    for base in bases.into_iter().flatten() {
        let hosts = stable_hosts(base, head.suffix, namespace);
        found.extend(hosts.into_iter().filter_map(|host| address.at_host(host)));
    }
    // At a fixed Ray Client port, so not for those who asked for a native driver.
    if head.base.starts_with(OUR_BASE) && matches!(address, RayAddress::Client(_)) {
        found.extend(our_stable_hosts(namespace).into_iter().map(client_at));
    }
    // `-stable-svc` is longer than `-head-svc`: a name near the limit has no such service.
    without_repeats(found.into_iter().filter(has_valid_host))
}

/// The stable service of `base` in its own domain, else in the namespace's; then bare, for the
/// search list of the resolver.
fn stable_hosts(base: &str, suffix: &str, namespace: Option<&str>) -> Vec<String> {
    let short = service::named(base, "stable");
    // A lone dot makes a name absolute, it is no domain.
    let qualified = if suffix.len() > 1 {
        Some(format!("{short}{suffix}"))
    } else {
        namespace.map(|namespace| service::in_namespace(&short, namespace))
    };
    qualified.into_iter().chain([short]).collect()
}

fn our_stable_hosts(namespace: Option<&str>) -> Vec<String> {
    stable_hosts(OUR_BASE, "", namespace)
}

fn client_at(host: String) -> RayAddress {
    RayAddress::Client(HostPort {
        host,
        port: DEFAULT_CLIENT_PORT,
    })
}

fn has_valid_host(address: &RayAddress) -> bool {
    address
        .host_port()
        .is_none_or(|at| check_host(&at.host).is_ok())
}

/// Keeps the first of equals; a handful of items, so a scan will do.
fn without_repeats(addresses: impl Iterator<Item = RayAddress>) -> Vec<RayAddress> {
    addresses.fold(Vec::new(), |mut kept, address| {
        if !kept.contains(&address) {
            kept.push(address);
        }
        kept
    })
}
