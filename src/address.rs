//! Ray addresses: parsing and display. Pure.
//!
//! Stricter than Ray on purpose: an address that Ray would give up on after half a minute of
//! connecting is rejected here in microseconds, with the corrected one in the message.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::ConnectError;

mod explain;
mod redact;
pub mod service;

pub use redact::{printable, redact};

/// Ray's default port of Ray Client.
pub const DEFAULT_CLIENT_PORT: u16 = 10001;

/// Ray's usual GCS port. For messages only: `host:port` always has a port of its own.
pub const USUAL_GCS_PORT: u16 = 6379;

/// Maximum length of an address, in bytes: scheme, 253 characters of host, port, and some room. Bounds
/// the work on invalid input.
const MAX_TEXT: usize = 512;

/// Host and port. `host` has no brackets: `::1`, not `[::1]`.
///
/// `Display` gives `host:port`, with an IPv6 host in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or IP literal, without brackets.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

impl HostPort {
    /// The host as an IP address, if it is a literal.
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

/// An address in one of the forms that Ray accepts.
///
/// `Display` gives the canonical form (`auto`, `local`, `h:6379`, `ray://h:10001`), which Ray accepts
/// as well. An address holds no secret: one with user info or a query does not parse.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RayAddress {
    /// `auto`: find a Ray on this machine.
    Auto,
    /// `local`: start one inside this process.
    Local,
    /// `host:port`: the GCS of a running cluster, for a native driver.
    Gcs(HostPort),
    /// `ray://host[:port]`: Ray Client.
    Client(HostPort),
    /// `module://anything`: whatever the `ClientBuilder` of that Python module connects to.
    Module(ModuleAddress),
}

impl RayAddress {
    /// Parses an argument or the value of `RAY_ADDRESS`, without the white space around it.
    ///
    /// As in Ray, `auto`, `local` and `ray://` must be in lower case. A host name keeps its case (not
    /// every resolver ignores it); an IPv6 host gets its shortest form.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidAddress`], with the address that was probably meant.
    pub fn parse(text: &str) -> Result<Self, ConnectError> {
        let text = text.trim();
        read(text).map_err(|flaw| explain::refusal(text, &flaw))
    }

    /// The address of another client than Ray's, if `text` has the form of one. Whether there is such
    /// a module is for the caller to find out.
    pub fn of_module(text: &str) -> Option<ModuleAddress> {
        let text = text.trim();
        let (module, _) = text.split_once("://")?;
        let is_plain = text.len() <= MAX_TEXT && text.bytes().all(|b| b.is_ascii_graphic());
        let fits = is_plain && is_module_name(module) && !NEVER_MODULES.contains(&module);
        fits.then(|| ModuleAddress(text.to_owned()))
    }

    /// What `ray.init` is given: with what [`Display`](fmt::Display) hides.
    pub fn for_ray(&self) -> String {
        match self {
            Self::Module(ModuleAddress(text)) => text.clone(),
            _ => self.to_string(),
        }
    }

    /// Host and port, which only an address of the GCS or of Ray Client has.
    pub fn host_port(&self) -> Option<&HostPort> {
        match self {
            Self::Auto | Self::Local | Self::Module(_) => None,
            Self::Gcs(at) | Self::Client(at) => Some(at),
        }
    }

    /// The same form and port with another host.
    #[must_use]
    pub(crate) fn at_host(&self, host: String) -> Option<Self> {
        match self {
            Self::Auto | Self::Local | Self::Module(_) => None,
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
            Self::Module(at) => f.write_str(&redact(&at.0)),
        }
    }
}

/// `module://anything`. It may hold a secret, which only [`RayAddress::for_ray`] shows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ModuleAddress(String);

impl ModuleAddress {
    /// The name of the module.
    pub fn module(&self) -> &str {
        self.0.split_once("://").map_or("", |(module, _)| module)
    }

    /// The error for a module that has no `ClientBuilder`: the text is no Ray address then.
    pub fn refusal(&self) -> ConnectError {
        let scheme = redact(self.module());
        explain::refusal(&self.0, &other_scheme(&scheme))
    }
}

impl fmt::Debug for ModuleAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

/// Schemes of other protocols. Some are names of installed modules too, and none has a builder.
const NEVER_MODULES: [&str; 9] = [
    "ray", "http", "https", "redis", "rediss", "gcs", "grpc", "grpcs", "tcp",
];

/// Whether `text` can be the dotted name of a Python module.
fn is_module_name(text: &str) -> bool {
    text.split('.').all(|part| {
        let starts_well = part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        starts_well && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

fn other_scheme(scheme: &str) -> String {
    format!("its scheme is `{scheme}`, Ray Client's is `ray`")
}

/// The host that `text` names, even if the address as a whole is invalid: Ray's own job command line
/// expects `RAY_ADDRESS=http://head:8265`, whose host is as useful. `None` for `auto`, `local` and text
/// without a valid host.
pub fn host_in(text: &str) -> Option<String> {
    let text = text.trim();
    let address = read(text).ok().or_else(|| explain::repaired(text))?;
    address.host_port().map(|at| at.host.clone())
}

/// Parses trimmed text, or returns what is wrong with it. The flaw quotes nothing that [`redact()`]
/// hides: user info is rejected before anything is quoted.
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
        Some((scheme, _)) => Err(other_scheme(&redact(scheme))),
        None => {
            let (host, port) = read_authority(text)?;
            let port = port.ok_or("its port is missing")?;
            Ok(RayAddress::Gcs(HostPort { host, port }))
        }
    }
}

/// Rejects flaws of the text as a whole, in an order in which each message makes sense.
fn refuse_wrapping(text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT {
        return Err(format!("it is too long ({} bytes)", text.len()));
    }
    let placeholders = ["${", "$(", "{{"];
    let flaw = if redact::has_user_info(text) {
        "it has a user name or password, which Ray does not take"
    } else if text.starts_with(['"', '\'', '`']) {
        "it has quotes that are part of the value"
    } else if text.starts_with('$') || placeholders.iter().any(|mark| text.contains(mark)) {
        "it has a placeholder that was not filled in"
    } else if text.chars().any(char::is_whitespace) {
        "it has white space inside"
    } else if text.chars().any(char::is_control) {
        "it has a control character inside"
    } else if !text.is_ascii() {
        "it is not plain ASCII (a name with such letters is written in punycode, `xn--...`)"
    } else {
        return Ok(());
    };
    Err(flaw.into())
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

/// The text after an opening bracket: `ipv6]` or `ipv6]:port`.
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

/// Parses a decimal port from 1 to 65535.
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

/// Checks that `host` can be a DNS name or an IPv4 literal.
///
/// Underscores are allowed: Kubernetes rejects them, but Docker Compose has them in host names.
pub(crate) fn check_host(host: &str) -> Result<(), String> {
    // A final dot makes a name absolute.
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

/// Checks one part of a DNS name. A Kubernetes namespace becomes such a part, so the rule is its too.
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
