//! The HTTP proxy that gRPC would use, and CONNECT, by which it is asked for a way through.
//!
//! The rules are gRPC's own (`http_proxy_mapper.cc`; docs/ray-internals.md, Gateways and environments).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::report::RayPort;
use super::server::Server;
use super::tcp_stream::TcpStream;
use crate::address::{HostPort, printable};
use crate::config::Env;
use crate::error::{ConnectError, Kind};

/// Ray's own switch: without it no proxy is used, whatever the others say.
const SWITCH: &str = "RAY_grpc_enable_http_proxy";

/// The first of these that is set counts, even if it is empty. In lower case only.
const PLACES: [&str; 3] = ["grpc_proxy", "https_proxy", "http_proxy"];

/// Of these, too, the first that is set.
const EXCEPTIONS: [&str; 2] = ["no_grpc_proxy", "no_proxy"];

/// Port of a proxy whose URL has none: gRPC's default for whatever it resolves.
const DEFAULT_PORT: u16 = 443;

/// Maximum size of the head of a proxy's answer, in bytes.
const MAX_ANSWER: usize = 8 * 1024;

/// An HTTP proxy. It is shown without the user info of its URL.
#[derive(Clone)]
pub struct Proxy {
    address: HostPort,
    /// The variable that names it.
    place: &'static str,
    /// `user:password`, decoded.
    user: Option<Vec<u8>>,
    /// The hosts that are reached without it.
    exceptions: Vec<String>,
}

impl Proxy {
    /// The proxy that Ray was told to use.
    pub fn from_env(env: &Env) -> Option<Self> {
        let switch = env.get(SWITCH)?.to_ascii_lowercase();
        if !matches!(switch.as_str(), "1" | "true") {
            return None;
        }
        let set = |&place: &&'static str| Some((place, env.raw(place)?));
        let (place, url) = PLACES.iter().find_map(set)?;
        let (user, address) = parse(&url)?;
        let exceptions = EXCEPTIONS.iter().find_map(|place| env.raw(place));
        let exceptions = exceptions.unwrap_or_default();
        Some(Self {
            address,
            place,
            user,
            exceptions: exceptions
                .split(',')
                .filter(|entry| !entry.is_empty())
                .map(|entry| entry.trim().to_ascii_lowercase())
                .collect(),
        })
    }

    /// Whether `host` is reached through it. An exception is the end of a name, or a network.
    pub fn applies_to(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let ip: Option<IpAddr> = host.parse().ok();
        !self.exceptions.iter().any(|entry| {
            host.ends_with(entry.as_str()) || ip.is_some_and(|ip| is_within(ip, entry))
        })
    }

    /// The proxy as the server to dial.
    pub(super) fn server(&self, ray_port: RayPort) -> Server {
        Server::new(self.address.clone(), ray_port)
    }

    /// Asks for a way to `target`, on a connection to the proxy.
    ///
    /// # Errors
    /// The cause, as the proxy's.
    pub(super) async fn ask(
        &self,
        stream: &mut TcpStream,
        server: &Server,
        target: &HostPort,
    ) -> Result<(), ConnectError> {
        match self.exchange(stream, target).await {
            Ok(line) => self.judge(server, target, &line),
            Err(error) => Err(server.error(
                Kind::NotReady,
                format!("{self} hung up on our CONNECT ({})", error.kind()),
                "check the proxy, and that it takes CONNECT to this port",
            )),
        }
    }

    async fn exchange(&self, stream: &mut TcpStream, target: &HostPort) -> io::Result<String> {
        let login = self.user.as_ref().map_or_else(String::new, |user| {
            format!(
                "Proxy-Authorization: Basic {}\r\n",
                BASE64_STANDARD.encode(user)
            )
        });
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{login}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        // Byte by byte: what follows the head is the server's already.
        while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_ANSWER {
            head.push(stream.read_u8().await?);
        }
        let line = head.split(|byte| *byte == b'\r').next();
        Ok(String::from_utf8_lossy(line.unwrap_or_default()).into_owned())
    }

    fn judge(&self, server: &Server, target: &HostPort, line: &str) -> Result<(), ConnectError> {
        let shown = printable(line);
        let (kind, cause, hint) = match status(line) {
            Some(200..300) => return Ok(()),
            Some(401 | 407) => (
                Kind::Auth,
                format!("{self} wants a login ({shown})"),
                format!(
                    "put the user name and password into the URL: {}=http://user:password@{}",
                    self.place, self.address
                ),
            ),
            Some(403) => (
                Kind::Auth,
                format!("{self} does not let us connect to {target} ({shown})"),
                format!(
                    "have the proxy allow CONNECT to {target}, or reach the host without it: \
                     no_grpc_proxy={}",
                    target.host
                ),
            ),
            Some(400 | 405 | 501) | None => (
                Kind::NotRay,
                format!("{self} takes no CONNECT ({shown})"),
                format!("check {}: it must name an HTTP proxy", self.place),
            ),
            Some(_) => (
                Kind::NotReady,
                format!("{self} could not connect to {target} ({shown})"),
                "check that the head runs, and the name and the port as the proxy sees them"
                    .to_owned(),
            ),
        };
        Err(server.error(kind, cause, hint))
    }

    /// The failure to reach the proxy itself.
    pub(super) fn unreachable(&self, server: &Server, cause: &ConnectError) -> ConnectError {
        let why = cause.message.split_once(": ");
        let why = why.map_or(cause.message.as_str(), |(_, why)| why);
        server.error(
            cause.kind,
            format!("{self} cannot be reached: {why}"),
            format!(
                "check {}; {SWITCH}=0 connects without a proxy, no_grpc_proxy names hosts that are \
                 reached without it",
                self.place
            ),
        )
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the HTTP proxy {} ({})", self.address, self.place)
    }
}

/// User info and address in the URL of a proxy; `None` for one that gRPC does not use.
fn parse(url: &str) -> Option<(Option<Vec<u8>>, HostPort)> {
    let rest = url.trim().strip_prefix("http://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, place) = match authority.split_once('@') {
        Some((_, place)) if place.contains('@') => return None,
        Some((user, place)) => (Some(percent_decode_str(user).collect()), place),
        None => (None, authority),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (place, DEFAULT_PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let fits = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
    let host = host.to_owned();
    fits.then_some((user, HostPort { host, port }))
}

/// Whether `ip` is in the network `entry`, such as `10.0.0.0/8`.
fn is_within(ip: IpAddr, entry: &str) -> bool {
    let network = || -> Option<(IpAddr, u32)> {
        let (network, bits) = entry.split_once('/')?;
        Some((network.parse().ok()?, bits.parse().ok()?))
    };
    let number = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (Ipv6Addr::to_bits(ip), 128),
    };
    let Some((network, bits)) = network() else {
        return false;
    };
    let ((ip, width), (network, network_width)) = (number(ip), number(network));
    let differ = ip ^ network;
    width == network_width && bits.min(width) <= differ.leading_zeros()
}

/// The status in the first line of an answer.
fn status(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("HTTP/1.")?;
    rest.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(vars: &[(&str, &str)]) -> Option<Proxy> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Proxy::from_env(&Env::Fixed {
            vars: vars.iter().map(owned).collect(),
            files: [].into(),
        })
    }

    /// Each case was seen with grpcio 1.85 and a listener in the place of the proxy.
    #[test]
    fn the_proxy_is_the_one_that_grpc_takes() {
        let on = (SWITCH, "1");
        let url = "http://proxy:3128";
        let shown = |vars: &[_]| proxy(vars).map(|proxy| proxy.to_string());
        for place in PLACES {
            let expected = format!("the HTTP proxy proxy:3128 ({place})");
            assert_eq!(shown(&[on, (place, url)]), Some(expected));
            assert_eq!(shown(&[(place, url)]), None);
            assert_eq!(shown(&[(SWITCH, "0"), (place, url)]), None);
        }
        for none in [
            "proxy:3128",
            "https://proxy:3128",
            "",
            "http://",
            "http://a@b@c:1",
        ] {
            assert_eq!(
                shown(&[on, ("grpc_proxy", none), ("http_proxy", url)]),
                None
            );
        }
        assert_eq!(shown(&[on, ("HTTPS_PROXY", url)]), None);
        let login = proxy(&[on, ("http_proxy", "http://us%40er:p%3Aw@[::1]:80/")]);
        let login = login.map(|proxy| (proxy.to_string(), proxy.user));
        let expected = "the HTTP proxy [::1]:80 (http_proxy)".to_owned();
        assert_eq!(login, Some((expected, Some(b"us@er:p:w".to_vec()))));
    }

    #[test]
    fn exceptions_are_ends_of_names_and_networks() {
        let url = ("grpc_proxy", "http://proxy:3128");
        let applies = |exceptions, host| {
            let found = proxy(&[(SWITCH, "true"), url, ("no_proxy", exceptions)]);
            found.is_some_and(|proxy| proxy.applies_to(host))
        };
        for (exceptions, host) in [
            ("valid", "no.where.valid"),
            (".Valid", "no.where.VALID"),
            ("other, no.where.valid", "no.where.valid"),
            ("127.0.0.0/8", "127.1.2.3"),
            ("10.0.0.7/32", "10.0.0.7"),
            (" 0.1 ", "127.0.0.1"),
            ("fd00::/16", "fd00::1"),
        ] {
            assert!(!applies(exceptions, host), "{exceptions:?} {host}");
        }
        for (exceptions, host) in [
            ("", "head"),
            ("*", "head"),
            ("head:10001", "head"),
            ("127.0.0.0/8", "128.0.0.1"),
            ("127.0.0.0/8", "head"),
            ("::/0", "127.0.0.1"),
        ] {
            assert!(applies(exceptions, host), "{exceptions:?} {host}");
        }
        let both = [(SWITCH, "1"), url, ("no_grpc_proxy", ""), ("no_proxy", "d")];
        assert!(proxy(&both).is_some_and(|proxy| proxy.applies_to("head")));
    }
}
