//! Names to addresses.

use std::net::{IpAddr, SocketAddr};

use super::trace::Ask;
use crate::error::{ConnectError, Kind};

/// All addresses of the server, families alternating so that a network without IPv6 (or IPv4)
/// costs one attempt and not all of them.
///
/// The system resolver cannot be called off: a look-up that is dropped ends on its own thread.
pub(super) async fn resolve(ask: &Ask<'_>) -> Result<Vec<SocketAddr>, ConnectError> {
    let (host, port) = (ask.server.host.as_str(), ask.server.port);
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found: Vec<SocketAddr> = match tokio::net::lookup_host((host, port)).await {
        Ok(found) => found.collect(),
        Err(error) => return Err(unknown_name(ask, &plain(&error))),
    };
    if found.is_empty() {
        return Err(unknown_name(ask, "the name has no address"));
    }
    Ok(alternate(&found))
}

fn unknown_name(ask: &Ask<'_>, why: &str) -> ConnectError {
    let host = &ask.server.host;
    ask.error(
        Kind::Dns,
        &format!("the name {host} does not resolve ({why})"),
        format!(
            "check the spelling; in Kubernetes, check that the service exists (kubectl get svc -A) \
             and try its full name, {host}.<namespace>.svc.cluster.local"
        ),
    )
}

/// The resolver's own words without the standard library's preamble.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ")
        .unwrap_or(&text)
        .to_owned()
}

fn alternate(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::with_capacity(found.len());
    for address in found {
        if !unique.contains(address) {
            unique.push(*address);
        }
    }
    let first_is_v6 = unique.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        unique.into_iter().partition(|a| a.is_ipv6() == first_is_v6);
    let mut order = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.drain(..), second.drain(..));
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &[&str]) -> Vec<SocketAddr> {
        text.iter().filter_map(|a| a.parse().ok()).collect()
    }

    #[test]
    fn families_alternate_and_duplicates_go() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::1]:1", "1.2.3.4:1"]);
        let wanted = addresses(&["[::1]:1", "1.2.3.4:1", "[::2]:1"]);
        assert_eq!(alternate(&found), wanted);
    }
}
