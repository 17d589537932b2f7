//! `RayAddress`: parse, show. Pure.
//!
//! Stricter than Ray on purpose: what Ray would find out after half a minute of dialling is told
//! here in microseconds, with the corrected address in the message.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::ConnectError;

mod explain;
mod redact;
pub mod service;

pub use redact::{printable, redact};

/// Default port of Ray Client, as in Ray.
pub const DEFAULT_CLIENT_PORT: u16 = 10001;

/// Ray's usual GCS port. For examples only: `host:port` always names its own.
pub const USUAL_GCS_PORT: u16 = 6379;

/// Nothing longer can be an address: scheme, 253 characters of host, a port, and some room. Keeps
/// the work on garbage bounded.
const MAX_TEXT: usize = 512;

/// Host and port. `host` has no brackets: `::1`, not `[::1]`.
///
/// Shown as `host:port`, an IPv6 host in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or IP literal.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

impl HostPort {
    /// The host as an IP address, when it is a literal.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// An address in one of the forms that Ray takes.
///
/// Shown in its canonical form (`auto`, `local`, `h:6379`, `ray://h:10001`). It holds no secret: an
/// address with user info or a query does not parse.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RayAddress {
    /// Find a Ray on this machine.
    Auto,
    /// Start one inside this process.
    Local,
    /// The GCS of a running cluster: `host:port`, a native driver.
    Gcs(HostPort),
    /// Ray Client: `ray://host[:port]`.
    Client(HostPort),
}

impl RayAddress {
    /// Parses what a caller or `RAY_ADDRESS` gave. White space around is dropped.
    ///
    /// Like Ray, it takes `auto`, `local` and `ray://` in lower case only. Letters of the host
    /// keep their case (not every resolver ignores it); an IPv6 host gets its shortest form.
    pub fn parse(text: &str) -> Result<Self, ConnectError> {
        let text = text.trim();
        read(text).map_err(|flaw| explain::refusal(text, &flaw))
    }

    /// Host and port; `auto` and `local` have none.
    pub fn host_port(&self) -> Option<&HostPort> {
        match self {
            Self::Auto | Self::Local => None,
            Self::Gcs(at) | Self::Client(at) => Some(at),
        }
    }

    /// What to give to `ray.init(address=...)`: the canonical form is one that Ray takes.
    pub fn init_address(&self) -> String {
        self.to_string()
    }

    /// The same form and port at another host.
    #[must_use]
    pub(crate) fn at_host(&self, host: String) -> Option<Self> {
        match self {
            Self::Auto | Self::Local => None,
            Self::Gcs(at) => Some(Self::Gcs(HostPort { host, ..*at })),
            Self::Client(at) => Some(Self::Client(HostPort { host, ..*at })),
        }
    }
}

impl fmt::Display for RayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Local => f.write_str("local"),
            Self::Gcs(at) => at.fmt(f),
            Self::Client(at) => write!(f, "ray://{at}"),
        }
    }
}

/// The host that `text` names, also where Ray would refuse the address as a whole:
/// `RAY_ADDRESS=http://head:8265` is what Ray's own job command line wants, and its host is as
/// good a clue as any. None for `auto`, `local` and what makes no sense.
pub fn host_in(text: &str) -> Option<String> {
    let text = text.trim();
    let address = read(text).ok().or_else(|| explain::repaired(text))?;
    address.host_port().map(|at| at.host.clone())
}

/// Parses trimmed text, or says what in particular is wrong with it. The flaw names nothing that
/// [`redact`] hides: user info is refused before anything is quoted.
fn read(text: &str) -> Result<RayAddress, String> {
    match text {
        "" => return Err("it is empty".into()),
        "auto" => return Ok(RayAddress::Auto),
        "local" => return Ok(RayAddress::Local),
        _ => refuse_wrapping(text)?,
    }
    match text.split_once("://") {
        Some(("ray", rest)) => {
            let (host, port) = read_authority(rest)?;
            let port = port.unwrap_or(DEFAULT_CLIENT_PORT);
            Ok(RayAddress::Client(HostPort { host, port }))
        }
        Some((scheme, _)) => Err(format!(
            "its scheme is `{}`, Ray Client's is `ray`",
            redact(scheme)
        )),
        None => {
            let (host, port) = read_authority(text)?;
            let port = port.ok_or("its port is missing")?;
            Ok(RayAddress::Gcs(HostPort { host, port }))
        }
    }
}

/// Flaws of the text as a whole, those first that would make nonsense of the ones after them.
fn refuse_wrapping(text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT {
        return Err(format!("it is too long ({} bytes)", text.len()));
    }
    if redact::has_user_info(text) {
        return Err("it has a user name or password, which Ray does not take".into());
    }
    if text.starts_with(['"', '\'', '`']) {
        return Err("it has quotes that are part of the value".into());
    }
    if text.contains("${") || text.contains("$(") || text.contains("{{") || text.starts_with('$') {
        return Err("it has a placeholder that nobody filled in".into());
    }
    if text.chars().any(char::is_whitespace) {
        return Err("it has white space inside".into());
    }
    if text.chars().any(char::is_control) {
        return Err("it has a control character inside".into());
    }
    if !text.is_ascii() {
        return Err(
            "it is not plain ASCII (a name with such letters is written in punycode, \
                    `xn--...`)"
                .into(),
        );
    }
    Ok(())
}

/// `host`, `host:port`, `[ipv6]` or `[ipv6]:port`.
fn read_authority(text: &str) -> Result<(String, Option<u16>), String> {
    if text.contains(['/', '?', '#', '\\']) {
        return Err("something follows the host and port (a path or a query)".into());
    }
    if let Some(inside) = text.strip_prefix('[') {
        return read_bracketed(inside);
    }
    let (host, port) = match text.split_once(':') {
        None => (text, None),
        Some((_, port)) if port.contains(':') => return Err(too_many_colons(text)),
        Some((host, port)) => (host, Some(port)),
    };
    check_host(host)?;
    Ok((host.to_owned(), port.map(read_port).transpose()?))
}

/// What follows an opening bracket.
fn read_bracketed(inside: &str) -> Result<(String, Option<u16>), String> {
    let (host, after) = inside
        .split_once(']')
        .ok_or("its opening bracket is never closed")?;
    if host.contains('%') {
        return Err("an IPv6 zone (`%...`) cannot be part of it".into());
    }
    let ip: Ipv6Addr = host
        .parse()
        .map_err(|_| "what is in brackets is not an IPv6 address")?;
    let port = match after.strip_prefix(':') {
        Some(port) => Some(read_port(port)?),
        None if after.is_empty() => None,
        None => return Err("only `:port` may follow the closing bracket".into()),
    };
    Ok((ip.to_string(), port))
}

fn too_many_colons(text: &str) -> String {
    if explain::bare_ipv6(text).is_some() {
        "an IPv6 address needs brackets".into()
    } else {
        "it has too many colons".into()
    }
}

/// A decimal port from 1 to 65535.
fn read_port(text: &str) -> Result<u16, String> {
    if text.is_empty() {
        return Err("its port is missing after the colon".into());
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("its port is not a number".into());
    }
    match text.parse() {
        Ok(0) => Err("its port is 0, ports are 1 to 65535".into()),
        Ok(port) => Ok(port),
        Err(_) => Err("its port is out of range, ports are 1 to 65535".into()),
    }
}

/// Whether `host` can be a DNS name or an IPv4 literal.
///
/// Underscores are fine: Kubernetes refuses them, but Docker Compose names its hosts so.
pub(crate) fn check_host(host: &str) -> Result<(), String> {
    // One final dot makes a name absolute, as resolvers understand it.
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.is_empty() {
        return Err("its host is missing".into());
    }
    if name.len() > 253 {
        return Err("its host is longer than 253 characters".into());
    }
    name.split('.').try_for_each(check_label)?;
    let numeric = name.contains('.') && name.bytes().all(|b| b == b'.' || b.is_ascii_digit());
    if numeric && (host != name || name.parse::<Ipv4Addr>().is_err()) {
        return Err("its host is no IPv4 address, though it looks like one".into());
    }
    Ok(())
}

/// One part of a DNS name. Also the rule for a Kubernetes namespace, which becomes such a part.
pub(crate) fn check_label(label: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if label.is_empty() {
        return Err("a part of its host is empty (a dot too many)".into());
    }
    if let Some(c) = label.chars().find(|&c| !fits(c)) {
        return Err(format!("the character {c:?} cannot be part of a host"));
    }
    if label.len() > 63 {
        return Err("a part of its host is longer than 63 characters".into());
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("a part of its host starts or ends with a hyphen".into());
    }
    Ok(())
}
