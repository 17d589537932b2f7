//! Name resolution.

use std::net::SocketAddr;

use super::server::Server;
use crate::error::{ConnectError, Kind};

/// All addresses of the server. The families alternate, so that a network without IPv6 (or IPv4)
/// costs one attempt and not all of them.
///
/// The system resolver cannot be cancelled: a look-up that is dropped ends on its own thread.
///
/// # Errors
/// [`Kind::Dns`] when the name does not resolve or has no address.
pub(super) async fn resolve(server: &Server) -> Result<Vec<SocketAddr>, ConnectError> {
    let (host, port) = (server.address.host.as_str(), server.address.port);
    if let Some(ip) = server.address.ip() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found: Vec<SocketAddr> = match tokio::net::lookup_host((host, port)).await {
        Ok(found) => found.collect(),
        Err(error) => return Err(unknown_name(server, plain(&error.to_string()))),
    };
    if found.is_empty() {
        return Err(unknown_name(server, "the name has no address"));
    }
    Ok(alternate(&found))
}

fn unknown_name(server: &Server, why: &str) -> ConnectError {
    let host = &server.address.host;
    server.error(
        Kind::Dns,
        format!("the name {host} does not resolve ({why})"),
        format!(
            "check the spelling; in Kubernetes, check that the service exists (kubectl get svc -A) \
             and try its full name, {host}.<namespace>.svc.cluster.local"
        ),
    )
}

/// The resolver's own words without the standard library's prefix.
fn plain(error: &str) -> &str {
    error
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(error)
}

/// Removes duplicates and alternates the families, beginning with that of the first address.
fn alternate(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut families: [Vec<SocketAddr>; 2] = Default::default();
    for address in found {
        let family = &mut families[usize::from(address.is_ipv6() != found[0].is_ipv6())];
        if !family.contains(address) {
            family.push(*address);
        }
    }
    let [first, second] = &families;
    let turns = 0..first.len().max(second.len());
    turns
        .flat_map(|turn| [first.get(turn), second.get(turn)])
        .flatten()
        .copied()
        .collect()
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
