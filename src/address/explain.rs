//! Why an address is invalid, and which one was probably meant.

use std::net::Ipv6Addr;

use super::redact::{after_user_info, redact, split_scheme};
use super::{
    DEFAULT_CLIENT_PORT, HostPort, RayAddress, USUAL_GCS_PORT, check_host, read_bracketed,
    read_port,
};
use crate::error::{ConnectError, Kind};

/// The hint: every accepted form, each with an example.
const FORMS: &str = "Use `auto`, `local`, `host:port` for the GCS (such as `ray-head:6379`) or \
                     `ray://host:port` for Ray Client (such as `ray://ray-head:10001`).";

/// The error for `text`; `flaw` completes the sentence "it is not a Ray address:".
pub(super) fn refusal(text: &str, flaw: &str) -> ConnectError {
    let shown = redact(text);
    let message = format!("`{shown}` is not a Ray address: {flaw}. {}", example(text));
    ConnectError::new(Kind::InvalidAddress, shown, message, FORMS)
}

/// A sentence with a valid address: the one that was probably meant, or else an example.
fn example(text: &str) -> String {
    match repaired(text) {
        // A name without a port can mean either of the two.
        Some(RayAddress::Gcs(at)) if !text.contains(':') => format!(
            "A right one is `ray://{}:{DEFAULT_CLIENT_PORT}` or `{at}`.",
            at.host
        ),
        Some(address) => format!("Did you mean `{address}`?"),
        None => "A right one looks like `ray://ray-head:10001` or `ray-head:6379`.".into(),
    }
}

/// The address that invalid text was probably meant to be. It contains nothing that [`redact`] hides.
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

/// The scheme without `://`, and the rest; also for the typos `ray:/h` and `ray:h:10001`.
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

/// An IPv6 address without brackets. A last group of four or five digits counts as a port if what is
/// left is an address too.
pub(super) fn bare_ipv6(text: &str) -> Option<(Ipv6Addr, Option<u16>)> {
    let with_port = text.rsplit_once(':').and_then(|(ip, port)| {
        let port = read_port(port).ok().filter(|&port| port >= 1000)?;
        Some((ip.parse().ok()?, Some(port)))
    });
    with_port.or_else(|| Some((text.parse().ok()?, None)))
}

/// The address form that a scheme suggests. The port of an HTTP URL is dropped: it is the dashboard's or
/// Serve's.
fn in_form(scheme: &str, host: String, port: Option<u16>) -> RayAddress {
    let (form, usual, port): (fn(_) -> _, _, _) = match scheme {
        "" | "redis" | "rediss" | "gcs" => (RayAddress::Gcs, USUAL_GCS_PORT, port),
        "http" | "https" => (RayAddress::Client, DEFAULT_CLIENT_PORT, None),
        _ => (RayAddress::Client, DEFAULT_CLIENT_PORT, port),
    };
    let port = port.unwrap_or(usual);
    form(HostPort { host, port })
}
