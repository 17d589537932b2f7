//! What is to be done for a pool in the background: connections made and ended.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Inner, Member, Place, Pool, Stage};
use crate::error::Kind;
use crate::session::{State, Whose};

/// The pause after the first failure; it doubles with each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two looks whether the monitor of a broken connection has released it.
const RELEASED: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// What the keeper's thread does next.
#[must_use]
pub enum Order {
    /// Connect this one. When that has failed, call [`Pool::failed`].
    Connect(Arc<Member>),
    /// Disconnect this one, which the pool does not know any more.
    Disconnect {
        /// It.
        member: Arc<Member>,
        /// The cluster answers, as far as that is known.
        is_up: bool,
    },
    /// Return.
    Stop,
}

/// Whether time may cure it: the breaker's pause passes, too.
pub(super) const fn passes(kind: Kind) -> bool {
    kind.is_transient() || matches!(kind, Kind::CircuitOpen)
}

/// The pause after so many failures in a row.
pub(super) fn pause(failures: u32) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST)
}

impl Pool {
    /// Waits until there is something to do.
    pub async fn next(&self) -> Order {
        loop {
            if let Some(order) = self.decide() {
                return order;
            }
            let due = self.due();
            tokio::select! {
                () = self.work.notified() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    fn decide(&self) -> Option<Order> {
        let ended = self.ended();
        let mut inner = self.inner();
        if let Some(member) = inner.gone(&ended).or_else(|| self.idle(&inner)) {
            let is_up = inner.place(&member).is_some_and(|place| place.is_up);
            inner.remove(&member);
            return Some(Order::Disconnect { member, is_up });
        }
        match inner.stage {
            Stage::New => None,
            Stage::Open => self.grow(&mut inner).map(Order::Connect),
            Stage::Closed | Stage::Ending => inner.places.is_empty().then_some(Order::Stop),
        }
    }

    /// Connections that are not there any more: somebody has shut them down, and no monitor makes them
    /// again; or they are broken, and others take their place.
    fn ended(&self) -> Vec<Arc<Member>> {
        let is_suspect = |place: &&Place| !place.is_up && !place.is_new;
        let suspects: Vec<_> = {
            let inner = self.inner();
            let suspects = inner.places.iter().filter(is_suspect);
            let suspects = suspects.map(|place| (Arc::clone(&place.member), place.is_broken));
            suspects.collect()
        };
        let has_ended = |(member, is_broken): (Arc<Member>, bool)| {
            let state = member.session.state();
            let is_replaced = is_broken && state == State::Reconnecting;
            (is_replaced || member.session.is_over()).then_some(member)
        };
        suspects.into_iter().filter_map(has_ended).collect()
    }

    /// One connection more, where it is wanted and may be made. One at a time: Ray's proxy forks a
    /// server for each, and that fork fails at times while others connect.
    fn grow(&self, inner: &mut Inner) -> Option<Arc<Member>> {
        let is_due = inner.retry_at.is_none_or(|at| at <= Instant::now());
        let cannot_heal = inner
            .failure
            .as_ref()
            .is_some_and(|cause| !passes(cause.kind));
        let waits = inner.queue.len() > 0;
        // Each new caller is told anew what a person may have mended meanwhile.
        let may = is_due || (waits && cannot_heal && inner.places.is_empty());
        let (min, max) = (self.limits.min_size, self.limits.max_size);
        let is_wanted = inner.size() < if waits { max } else { min };
        let is_busy = inner.places.iter().any(|place| place.is_new);
        // Those that are down are made again by their monitors.
        let answers = inner.places.iter().all(|place| place.is_broken)
            || inner.places.iter().any(|place| place.is_up);
        if !may || !is_wanted || is_busy || !answers {
            return None;
        }
        inner.made += 1;
        let whose = Whose::of(&self.name, inner.made);
        let session = self.process.of_pool(whose, &self.circuits, &self.metrics);
        let member = Arc::new(Member {
            number: inner.made,
            session: Arc::new(session),
            seat: OnceLock::new(),
        });
        inner.places.push(Place {
            member: Arc::clone(&member),
            is_up: false,
            is_new: true,
            is_broken: false,
            lent: None,
        });
        Some(member)
    }

    /// A connection that nobody needs.
    fn idle(&self, inner: &Inner) -> Option<Arc<Member>> {
        let (member, since) = inner.free.first()?;
        let is_idle =
            inner.size() > self.limits.min_size && since.elapsed() >= self.limits.max_idle;
        // One that was taken for broken may have come back.
        let is_one_too_many = inner.size() > self.limits.max_size;
        (is_idle || is_one_too_many).then(|| Arc::clone(member))
    }

    /// When the time alone gives something to do.
    fn due(&self) -> Instant {
        let inner = self.inner();
        // No caller wakes the keeper when it gives a connection back that may become idle.
        let far = Instant::now() + LONGEST.min(self.limits.max_idle.max(PAUSE));
        let idle = inner
            .free
            .first()
            .map(|(_, since)| *since + self.limits.max_idle);
        let idle = idle.filter(|_| inner.size() > self.limits.min_size);
        let is_any_broken = inner.places.iter().any(|place| place.is_broken);
        let broken = is_any_broken.then(|| Instant::now() + RELEASED);
        let retry = inner.retry_at.filter(|at| *at > Instant::now());
        let dues = [idle, retry, broken];
        dues.into_iter().flatten().fold(far, Instant::min)
    }
}

impl Inner {
    /// Connections that work, are made, or are waited for.
    fn size(&self) -> usize {
        let counts = |place: &&Place| !place.is_broken;
        self.places.iter().filter(counts).count()
    }

    /// One that is not there any more; in a pool that is closed, one that is not in use.
    fn gone(&self, ended: &[Arc<Member>]) -> Option<Arc<Member>> {
        let is_gone = |place: &&Place| {
            let is_free = place.lent.is_none() || self.stage == Stage::Ending;
            let has_ended = ended
                .iter()
                .any(|member| member.number == place.member.number);
            has_ended || (self.stage >= Stage::Closed && is_free)
        };
        let place = self.places.iter().find(is_gone);
        place.map(|place| Arc::clone(&place.member))
    }
}
