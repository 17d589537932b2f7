//! Why an address was refused, and what was probably meant.

use std::net::Ipv6Addr;

use super::redact::{after_user_info, redact, split_scheme};
use super::{
    DEFAULT_CLIENT_PORT, HostPort, RayAddress, USUAL_GCS_PORT, check_host, read_bracketed,
    read_port,
};
use crate::error::{ConnectError, Kind};

/// Every accepted form, each with an example.
const FORMS: &str = "Use `auto`, `local`, `host:port` for the GCS (such as `ray-head:6379`) or \
                     `ray://host:port` for Ray Client (such as `ray://ray-head:10001`).";

/// The failure for `text`, whose `flaw` completes "it is not a Ray address:".
pub(super) fn refusal(text: &str, flaw: &str) -> ConnectError {
    let shown = redact(text);
    let message = format!("`{shown}` is not a Ray address: {flaw}. {}", example(text));
    ConnectError::new(Kind::InvalidAddress, shown, message, FORMS)
}

/// A right address: what was probably meant, else a made-up one.
fn example(text: &str) -> String {
    match repaired(text) {
        // Nothing tells which of the two ports a lone name means.
        Some(RayAddress::Gcs(at)) if !text.contains(':') => format!(
            "A right one is `ray://{}:{DEFAULT_CLIENT_PORT}` or `{at}`.",
            at.host
        ),
        Some(address) => format!("Did you mean `{address}`?"),
        None => "A right one looks like `ray://ray-head:10001` or `ray-head:6379`.".into(),
    }
}

/// The address that refused text was probably meant to be. It is made of nothing that [`redact`]
/// hides.
pub(super) fn repaired(text: &str) -> Option<RayAddress> {
    let text = text.trim_matches(['"', '\'', '`', ' ']);
    if text.eq_ignore_ascii_case("auto") {
        return Some(RayAddress::Auto);
    }
    if text.eq_ignore_ascii_case("local") {
        return Some(RayAddress::Local);
    }
    let (scheme, rest) = lenient_scheme(text);
    let authority = after_user_info(rest)?
        .split(['/', '?', '#', '=', '\\'])
        .next()?;
    let (host, port) = lenient_authority(authority)?;
    Some(in_form(&scheme.to_ascii_lowercase(), host, port))
}

/// The scheme without `://`, also for the slips `ray:/h` and `ray:h:10001`.
fn lenient_scheme(text: &str) -> (&str, &str) {
    let (scheme, rest) = split_scheme(text);
    if !scheme.is_empty() {
        return (scheme.trim_end_matches("://"), rest.trim_start_matches('/'));
    }
    match text.split_once(':') {
        Some(("ray", rest)) if rest.contains([':', '/']) => ("ray", rest.trim_start_matches('/')),
        _ => ("", text),
    }
}

fn lenient_authority(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(inside) = text.strip_prefix('[') {
        return read_bracketed(inside).ok();
    }
    if let Some((ip, port)) = bare_ipv6(text) {
        return Some((ip.to_string(), port));
    }
    let (host, port) = text.split_once(':').unwrap_or((text, ""));
    check_host(host).ok()?;
    Some((host.to_owned(), read_port(port).ok()))
}

/// An IPv6 address without brackets. A last group that can be a port of four or five digits is
/// taken for one, where what is left is an address too.
pub(super) fn bare_ipv6(text: &str) -> Option<(Ipv6Addr, Option<u16>)> {
    let with_port = text.rsplit_once(':').and_then(|(ip, port)| {
        let port = read_port(port).ok().filter(|&port| port >= 1000)?;
        Some((ip.parse().ok()?, Some(port)))
    });
    with_port.or_else(|| Some((text.parse().ok()?, None)))
}

/// The form that a scheme suggests. An HTTP port is the dashboard's or Serve's, never Ray Client's.
fn in_form(scheme: &str, host: String, port: Option<u16>) -> RayAddress {
    let (is_gcs, port) = match scheme {
        "" | "redis" | "rediss" | "gcs" => (true, port),
        "http" | "https" => (false, None),
        _ => (false, port),
    };
    let usual = if is_gcs {
        USUAL_GCS_PORT
    } else {
        DEFAULT_CLIENT_PORT
    };
    let at = HostPort {
        host,
        port: port.unwrap_or(usual),
    };
    if is_gcs {
        RayAddress::Gcs(at)
    } else {
        RayAddress::Client(at)
    }
}
