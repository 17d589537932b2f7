//! Name resolution. The system's resolver cannot be cancelled, and may take longer than a look has:
//! looks of the same host share one look-up, and its late answer is kept for those that follow.

use std::collections::HashMap;
use std::mem;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use once_cell::sync::Lazy;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::server::Server;
use crate::error::{ConnectError, Kind};

/// A look-up that takes longer is slow, and its answer is kept. A fast one is asked anew for each
/// look: the service may have moved.
const SLOW: Duration = Duration::from_millis(500);

/// How long the addresses from a slow look-up are kept.
const KEPT: Duration = Duration::from_secs(30);

/// As [`KEPT`], for a failure: long enough for the next look to be told.
const FAILURE_KEPT: Duration = Duration::from_secs(5);

/// The addresses of a name, or the resolver's words.
type Answer = Result<Vec<IpAddr>, String>;

/// The look-ups that are under way or kept, by host.
#[derive(Default)]
struct Resolver(Mutex<HashMap<String, watch::Receiver<Option<Answered>>>>);

struct Answered {
    answer: Answer,
    at: Instant,
    took: Duration,
}

impl Answered {
    fn is_kept(&self) -> bool {
        let kept = if self.answer.is_ok() {
            KEPT
        } else {
            FAILURE_KEPT
        };
        self.took >= SLOW && self.at.elapsed() < kept
    }
}

#[allow(
    clippy::non_std_lazy_statics,
    reason = "as the static of `crate::process`"
)]
static RESOLVER: Lazy<ArcSwap<Resolver>> = Lazy::new(ArcSwap::default);

impl Resolver {
    fn table(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Option<Answered>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_up(
        &self,
        host: &str,
        resolve: impl FnOnce(&str) -> Answer + Send + 'static,
    ) -> Answer {
        let mut shared = self.shared(host, resolve);
        let answered = shared.wait_for(Option::is_some).await;
        match answered.as_deref() {
            Ok(Some(answered)) => answered.answer.clone(),
            _ => Err("the process is ending".to_owned()),
        }
    }

    /// The look-up of `host` that is under way or kept, or a new one.
    fn shared(
        &self,
        host: &str,
        resolve: impl FnOnce(&str) -> Answer + Send + 'static,
    ) -> watch::Receiver<Option<Answered>> {
        let mut table = self.table();
        table.retain(|_, look_up| match &*look_up.borrow() {
            Some(answered) => answered.is_kept(),
            // It never began, if its runtime was stopped.
            None => look_up.has_changed().is_ok(),
        });
        if let Some(look_up) = table.get(host) {
            return look_up.clone();
        }
        let (tell, look_up) = watch::channel(None);
        table.insert(host.to_owned(), look_up.clone());
        let (host, began) = (host.to_owned(), Instant::now());
        spawn_blocking(move || {
            let answer = resolve(&host);
            tell.send_replace(Some(Answered {
                answer,
                at: Instant::now(),
                took: began.elapsed(),
            }))
        });
        look_up
    }
}

/// All addresses of the server. The families alternate, so that a network without IPv6 (or IPv4)
/// costs one attempt and not all of them.
///
/// # Errors
/// [`Kind::Dns`] when the name does not resolve or has no address.
pub(super) async fn resolve(server: &Server) -> Result<Vec<SocketAddr>, ConnectError> {
    let (host, port) = (server.address.host.as_str(), server.address.port);
    if let Some(ip) = server.address.ip() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    match look_up(host).await {
        Ok(found) if found.is_empty() => Err(unknown_name(server, "the name has no address")),
        Ok(found) => Ok(alternate(&found)
            .into_iter()
            .map(|ip| SocketAddr::new(ip, port))
            .collect()),
        Err(error) => Err(unknown_name(server, plain(&error))),
    }
}

/// The addresses of `host`, as the system's resolver has them.
///
/// # Errors
/// The resolver's own words.
pub(super) async fn look_up(host: &str) -> Answer {
    let resolver = RESOLVER.load_full();
    resolver.look_up(host, system).await
}

/// Nothing accepts at the addresses of `host`: the next look asks the resolver anew.
pub(super) fn forget(host: &str) {
    RESOLVER.load().table().remove(host);
}

/// Forgets every look-up, in a child right after a fork: their threads do not exist here, and may
/// have held the lock.
pub fn after_fork() {
    mem::forget(RESOLVER.swap(Arc::default()));
}

fn system(host: &str) -> Answer {
    match (host, 0).to_socket_addrs() {
        Ok(found) => Ok(found.map(|address| address.ip()).collect()),
        Err(error) => Err(error.to_string()),
    }
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
fn alternate(found: &[IpAddr]) -> Vec<IpAddr> {
    let mut families: [Vec<IpAddr>; 2] = Default::default();
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
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;

    use super::*;

    fn addresses(text: &[&str]) -> Vec<IpAddr> {
        text.iter().filter_map(|a| a.parse().ok()).collect()
    }

    #[test]
    fn families_alternate_and_duplicates_go() {
        let found = addresses(&["::1", "::2", "::1", "1.2.3.4"]);
        let wanted = addresses(&["::1", "1.2.3.4", "::2"]);
        assert_eq!(alternate(&found), wanted);
    }

    static ASKED: AtomicU32 = AtomicU32::new(0);

    /// A resolver that answers when it is let go.
    fn held(go: mpsc::Receiver<Answer>) -> impl FnOnce(&str) -> Answer + Send + 'static {
        move |_| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            go.recv().unwrap_or_else(|_| Err("gone".to_owned()))
        }
    }

    fn never(_: &str) -> Answer {
        Err("asked once more".to_owned())
    }

    const MOMENT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn looks_share_a_look_up_and_its_late_answer_is_kept() {
        let resolver = Resolver::default();
        let (go, gone) = mpsc::channel();
        let first = tokio::time::timeout(MOMENT, resolver.look_up("head", held(gone))).await;
        assert!(first.is_err(), "its bound was shorter than the look-up");
        let second = tokio::time::timeout(MOMENT, resolver.look_up("head", never)).await;
        assert!(second.is_err(), "it must wait for the same look-up");
        tokio::time::sleep(SLOW).await;
        let found = addresses(&["1.2.3.4"]);
        let sent = go.send(Ok(found.clone()));
        let waited = tokio::time::timeout(LONG, resolver.look_up("head", never)).await;
        assert_eq!((sent, waited), (Ok(()), Ok(Ok(found.clone()))));
        assert_eq!(resolver.look_up("head", never).await, Ok(found));
        assert_eq!(resolver.look_up("other", never).await, never(""));
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
        resolver.table().remove("head");
        assert_eq!(resolver.look_up("head", never).await, never(""));
    }

    #[tokio::test]
    async fn a_fast_answer_is_not_kept_and_a_late_failure_is_told_once_more() {
        let resolver = Resolver::default();
        let found = addresses(&["1.2.3.4"]);
        let answer = found.clone();
        assert_eq!(
            resolver.look_up("fast", move |_| Ok(answer)).await,
            Ok(found)
        );
        assert_eq!(resolver.look_up("fast", never).await, never(""));
        let late = |_: &str| {
            std::thread::sleep(SLOW);
            Err("no such name".to_owned())
        };
        let cut = tokio::time::timeout(MOMENT, resolver.look_up("late", late)).await;
        assert!(cut.is_err());
        let told = resolver.look_up("late", never).await;
        assert_eq!(told, Err("no such name".to_owned()));
    }
}
