//! How Ray itself would reach a server from here: directly, through a proxy, or under another address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::proxy::Proxy;
use super::report::RayPort;
use super::server::Server;
use super::tcp_stream::TcpStream;
use super::{causes, dns, node_ip, tcp};
use crate::address::HostPort;
use crate::config::Env;
use crate::error::{ConnectError, Kind};
use crate::platform::{self, Platform};

/// Ray's switch for clusters of several machines, which it obeys on Linux, too.
const ENV_CLUSTERS: &str = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER";

/// What decides how a server is reached.
#[derive(Clone, Default)]
pub struct Way {
    /// A native Ray does not dial loopback names.
    replaces_loopback: bool,
    proxy: Option<Arc<Proxy>>,
}

impl Way {
    /// As Ray in this environment.
    pub fn from_env(env: &Env) -> Self {
        Self::on(platform::here(), env)
    }

    fn on(platform: &dyn Platform, env: &Env) -> Self {
        let has_clusters = env.raw(ENV_CLUSTERS).map(|set| is_true(&set));
        Self {
            // Without clusters a Ray is one machine, and stays on its loopback address.
            replaces_loopback: has_clusters.unwrap_or(platform.has_clusters()),
            proxy: Proxy::from_env(env).map(Arc::new),
        }
    }

    /// Looks up what is to be dialled for `server`.
    ///
    /// # Errors
    /// [`Kind::Dns`] when a name does not resolve.
    pub(super) async fn find<'a>(&'a self, server: &'a Server) -> Result<Hop<'a>, ConnectError> {
        let target = self.target(server).await;
        let applies = |proxy: &&Arc<Proxy>| proxy.applies_to(&target.host);
        let proxy = self.proxy.as_ref().filter(applies);
        let addresses = match (proxy, target.ip()) {
            (Some(proxy), _) => dns::resolve(&proxy.server(server.ray_port))
                .await
                .map_err(|cause| proxy.unreachable(server, &cause))?,
            (None, Some(ip)) => vec![SocketAddr::new(ip, target.port)],
            (None, None) => dns::resolve(server).await?,
        };
        Ok(Hop {
            server,
            target,
            proxy,
            addresses,
        })
    }

    fn is_replaced(&self, server: &HostPort, ray_port: RayPort) -> bool {
        self.replaces_loopback && ray_port == RayPort::Gcs && node_ip::is_replaced(&server.host)
    }

    async fn target(&self, server: &Server) -> HostPort {
        let written = server.address.clone();
        if !self.is_replaced(&written, server.ray_port) {
            return written;
        }
        match node_ip::find().await {
            Some(ip) => HostPort {
                host: ip.to_string(),
                ..written
            },
            None => written,
        }
    }
}

/// Checks whether anything accepts TCP connections on this port, within `timeout`.
///
/// Costs the server one accept and no gRPC traffic.
///
/// # Errors
/// The cause by which the name look-up or the connect failed.
pub async fn tcp_open(
    server: &HostPort,
    ray_port: RayPort,
    way: &Way,
    timeout: Duration,
) -> Result<(), ConnectError> {
    let server = Server::new(server.clone(), ray_port);
    let work = async { way.find(&server).await?.connect().await };
    match tokio::time::timeout(timeout, work).await {
        Ok(result) => result.map(drop),
        Err(_) => Err(causes::tcp_timed_out(&server, timeout)),
    }
}

/// A way whose names are looked up.
pub(super) struct Hop<'a> {
    server: &'a Server,
    /// What Ray dials, or asks the proxy for.
    target: HostPort,
    proxy: Option<&'a Arc<Proxy>>,
    addresses: Vec<SocketAddr>,
}

impl Hop<'_> {
    /// The addresses that were found, and whose they are.
    pub fn detail(&self) -> String {
        let shown: Vec<String> = self.addresses.iter().map(SocketAddr::to_string).collect();
        let found = shown.join(", ");
        match self.proxy {
            Some(proxy) => format!("{found}, of {proxy}"),
            None if self.target != self.server.address => {
                format!(
                    "{found}, which Ray dials in place of {}",
                    self.server.address.host
                )
            }
            None => found,
        }
    }

    /// Connects, through the proxy if there is one.
    ///
    /// # Errors
    /// The most informative of the failures, when no address accepts; or the proxy's refusal.
    pub async fn connect(&self) -> Result<(TcpStream, Route), ConnectError> {
        let server = self.server;
        let Some(proxy) = self.proxy else {
            return match tcp::connect(server, &self.addresses).await {
                Ok((stream, first)) => Ok((stream, self.route(first, None))),
                Err(cause) if self.target != server.address => {
                    Err(node_ip::explain(server, &self.target, cause).await)
                }
                Err(cause) => {
                    dns::forget(&server.address.host);
                    Err(cause)
                }
            };
        };
        let dialled = tcp::connect(&proxy.server(server.ray_port), &self.addresses).await;
        let (mut stream, first) = dialled.map_err(|cause| proxy.unreachable(server, &cause))?;
        proxy.ask(&mut stream, server, &self.target).await?;
        let through = Some((Arc::clone(proxy), server.clone(), self.target.clone()));
        Ok((stream, self.route(first, through)))
    }

    fn route(&self, first: SocketAddr, through: Option<(Arc<Proxy>, Server, HostPort)>) -> Route {
        Route {
            first,
            name: self.target.host.clone(),
            through,
        }
    }

    /// A timeout, with the proxy that it may be due to.
    pub fn blame(&self, cause: ConnectError) -> ConnectError {
        match self.proxy {
            Some(proxy) if cause.kind == Kind::Timeout => proxy.unreachable(self.server, &cause),
            _ => cause,
        }
    }
}

/// The way to a server that has accepted, to go it once more.
#[derive(Clone)]
pub(super) struct Route {
    /// The server, or the proxy in front of it.
    pub first: SocketAddr,
    /// The host for which the server must have a certificate: the one that Ray dials.
    pub name: String,
    through: Option<(Arc<Proxy>, Server, HostPort)>,
}

impl Route {
    /// The server's own address, as far as it is known from here.
    pub fn ip(&self) -> IpAddr {
        self.first.ip()
    }

    /// The way, for messages.
    pub fn detail(&self) -> String {
        match &self.through {
            Some((proxy, _, target)) => format!("connected to {target} through {proxy}"),
            None => format!("connected to {}", self.first),
        }
    }

    /// Another connection.
    ///
    /// # Errors
    /// It cannot be made any more.
    pub async fn dial(&self) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.first).await?;
        if let Some((proxy, server, target)) = &self.through {
            let asked = proxy.ask(&mut stream, server, target).await;
            asked.map_err(|cause| io::Error::other(cause.message))?;
        }
        Ok(stream)
    }
}

fn is_true(set: &str) -> bool {
    set == "1" || set.eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::platform::{Linux, Portable};

    #[test]
    fn where_ray_has_clusters_it_dials_another_address_than_loopback() {
        let linux = Linux::new();
        let systems: [(&dyn Platform, bool); 2] = [(&linux, true), (&Portable, false)];
        for (platform, unset) in systems {
            let switches = [
                (None, unset),
                (Some("1"), true),
                (Some("True"), true),
                (Some("0"), false),
                (Some(""), false),
            ];
            for (switch, wanted) in switches {
                let set = |value: &str| (ENV_CLUSTERS.to_owned(), value.to_owned());
                let env = Env::Fixed {
                    vars: switch.map(set).into_iter().collect(),
                    files: BTreeMap::new(),
                };
                let way = Way::on(platform, &env);
                let server = HostPort {
                    host: "localhost".to_owned(),
                    port: 1,
                };
                let shown = format!("{} {switch:?}", platform.name());
                assert_eq!(way.is_replaced(&server, RayPort::Gcs), wanted, "{shown}");
                assert!(!way.is_replaced(&server, RayPort::Client), "{shown}");
            }
        }
    }
}
