//! The target of a connect: address and namespace, the source of each, and the fallback addresses.

use std::hash::{Hash, Hasher};

use crate::address::service::{self, HeadService, OUR_BASE};
use crate::address::{DEFAULT_CLIENT_PORT, HostPort, RayAddress, check_host};
pub use crate::config::Source;
use crate::config::{ENV_RAY_ADDRESS, ENV_RAY_NAMESPACE, ENV_SEEDCORE_NS, Env, Kubernetes};
use crate::error::ConnectError;

/// The namespace when nothing names one.
pub const DEFAULT_NAMESPACE: &str = "seedcore-dev";

/// A namespace argument, for which left out and `None` differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceArg<'a> {
    /// Left out: the environment, else [`DEFAULT_NAMESPACE`].
    LeftOut,
    /// `None`: the environment, else Ray's anonymous namespace.
    Anonymous,
    /// A name.
    Named(&'a str),
}

/// The address and namespace that a call asks for. Calls with equal targets share one connect and one
/// circuit of the breaker.
///
/// Equality and hash ignore the sources: an argument and an environment variable of equal value mean
/// the same connection.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address.
    pub address: RayAddress,
    /// The source of the address.
    pub address_source: Source,
    /// The namespace; `None` is Ray's anonymous one.
    pub namespace: Option<String>,
    /// The source of the namespace.
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
    /// Resolves arguments and environment. The address is the argument, else `RAY_ADDRESS`, else
    /// `auto`; the namespace as [`resolve_namespace`] says.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidAddress`].
    pub fn resolve(
        address: Option<&str>,
        namespace: &NamespaceArg<'_>,
        env: &Env,
    ) -> Result<Self, ConnectError> {
        Self::resolve_with(address, namespace, env, |_| false)
    }

    /// As [`Target::resolve`]. Of an address that is none of Ray's own, `has_builder` says whether its
    /// scheme is a Python module with a client for Ray.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidAddress`].
    pub fn resolve_with(
        address: Option<&str>,
        namespace: &NamespaceArg<'_>,
        env: &Env,
        has_builder: impl FnOnce(&str) -> bool,
    ) -> Result<Self, ConnectError> {
        let (address, address_source) = resolve_address(address, env, has_builder)?;
        let (namespace, namespace_source) = resolve_namespace(namespace, env);
        Ok(Self {
            address,
            address_source,
            namespace,
            namespace_source,
        })
    }

    /// This target once more, for a call that asks for nothing: what an argument named stands, and the
    /// rest is as the environment says now.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidAddress`].
    pub fn renewed(
        &self,
        env: &Env,
        has_builder: impl FnOnce(&str) -> bool,
    ) -> Result<Self, ConnectError> {
        let (address, address_source) = match self.address_source {
            Source::Argument => (self.address.clone(), Source::Argument),
            _ => resolve_address(None, env, has_builder)?,
        };
        let (namespace, namespace_source) = match self.namespace_source {
            Source::Argument => (self.namespace.clone(), Source::Argument),
            _ => resolve_namespace(&NamespaceArg::LeftOut, env),
        };
        Ok(Self {
            address,
            address_source,
            namespace,
            namespace_source,
        })
    }

    /// The fallbacks by priority, without the address itself.
    ///
    /// An address that names a Kubernetes head service falls back to the stable services of the same
    /// base. Without any address, a pod that is not Ray's falls back to our own stable service.
    pub fn fallbacks(&self, kubernetes: &Kubernetes) -> Vec<RayAddress> {
        let namespace = kubernetes.namespace.as_deref();
        match &self.address {
            RayAddress::Local | RayAddress::Module(_) => Vec::new(),
            RayAddress::Auto => {
                let outside = !kubernetes.inside || kubernetes.ray_pod;
                if outside || self.address_source != Source::Default {
                    return Vec::new();
                }
                let hosts = our_stable_hosts(namespace).into_iter();
                hosts.take(1).map(client_at).collect()
            }
            address @ (RayAddress::Gcs(at) | RayAddress::Client(at)) => HeadService::of(&at.host)
                .map(|head| head_fallbacks(address, &head, namespace))
                .unwrap_or_default(),
        }
    }

    /// The standbys of `given` by priority, without the address itself. An address that needs no
    /// answer has none.
    pub fn standbys(&self, given: &[RayAddress]) -> Vec<RayAddress> {
        if matches!(self.address, RayAddress::Local | RayAddress::Module(_)) {
            return Vec::new();
        }
        let others = given.iter().filter(|address| **address != self.address);
        without_repeats(others.cloned())
    }
}

/// The address as it was written, and its source; `None` when there is none.
///
/// `RAY_ADDRESS` overrides an explicit `auto`, as in Ray.
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
    has_builder: impl FnOnce(&str) -> bool,
) -> Result<(RayAddress, Source), ConnectError> {
    let Some((text, source)) = written_address(argument, env) else {
        return Ok((RayAddress::Auto, Source::Default));
    };
    let address = RayAddress::parse(&text).or_else(|mut error| {
        if let Some(at) = RayAddress::of_module(&text)
            && has_builder(at.module())
        {
            return Ok(RayAddress::Module(at));
        }
        if let Source::Env(name) = source {
            // The reader of the log may not know that the variable is set.
            error.message = format!("{name}: {}", error.message);
        }
        Err(error)
    })?;
    Ok((address, source))
}

/// The namespace and its source: the argument, else `SEEDCORE_NS`, else `RAY_NAMESPACE`, else what
/// [`NamespaceArg`] says. A blank name counts as left out.
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
/// cluster also its Ray Client service.
///
/// The base with its last part comes first. If a service of that name exists, it is the right one,
/// whereas the base without a part that was a word (`seedcore-train`) may name another cluster. After a
/// real run id this costs nothing: no stable service has one, and all candidates are probed
/// concurrently.
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
    // Only for Ray Client: this service has no GCS port.
    if head.base.starts_with(OUR_BASE) && matches!(address, RayAddress::Client(_)) {
        found.extend(our_stable_hosts(namespace).into_iter().map(client_at));
    }
    // `-stable-svc` is longer than `-head-svc`, so that a name near the limit becomes too long.
    without_repeats(found.into_iter().filter(has_valid_host))
}

/// The names of the stable service of `base`: in its own domain, else in that of the namespace; then
/// without a domain, for the resolver's search list.
fn stable_hosts(base: &str, suffix: &str, namespace: Option<&str>) -> Vec<String> {
    let short = service::named(base, "stable");
    // A single dot makes a name absolute and is not a domain.
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

/// Removes duplicates from a few items, keeping the first.
fn without_repeats(addresses: impl Iterator<Item = RayAddress>) -> Vec<RayAddress> {
    addresses.fold(Vec::new(), |mut kept, address| {
        if !kept.contains(&address) {
            kept.push(address);
        }
        kept
    })
}
