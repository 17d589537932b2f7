//! When not to try.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fastrand::Rng;
use proptest::prelude::*;
use seedcore_ray::breaker::{Admission, Breaker, CAP, circuit_open};
use seedcore_ray::error::Kind;
use seedcore_ray::session::Session;

use crate::scene::{HEAD, OTHER, failure, millis, secs, target};

const RESET: Duration = secs(5);

/// A breaker on a clock of its own.
struct Bench {
    breaker: Breaker<&'static str>,
    now: Instant,
}

impl Bench {
    fn new(seed: u64) -> Self {
        Self {
            breaker: Breaker::new(Rng::with_seed(seed)),
            now: Instant::now(),
        }
    }

    fn check(&mut self) -> Admission {
        self.breaker.check(&HEAD, self.now)
    }

    fn fail(&mut self) {
        let cause = failure(Kind::Refused, HEAD);
        self.breaker.opened(&HEAD, cause, RESET, self.now);
    }

    /// How long it is open from now on.
    fn open_for(&mut self) -> Duration {
        match self.check() {
            Admission::Open { retry_after, .. } => retry_after,
            verdict => panic!("{verdict:?}"),
        }
    }

    /// Waits until somebody may probe, and takes the probe.
    fn probe(&mut self) {
        let open_for = self.open_for();
        self.now += open_for;
        assert!(matches!(self.check(), Admission::HalfOpen));
    }
}

#[test]
fn nothing_is_held_against_the_unknown() {
    let mut bench = Bench::new(1);
    assert!(matches!(bench.check(), Admission::Closed));
    bench.fail();
    let other = bench.breaker.check(&OTHER, bench.now);
    assert!(matches!(other, Admission::Closed));
}

#[test]
fn an_open_circuit_answers_with_the_cause_and_the_time_that_is_left() {
    let mut bench = Bench::new(1);
    bench.fail();
    let period = bench.open_for();
    assert!(period >= RESET / 2 && period <= RESET, "{period:?}");
    bench.now += secs(1);
    let Admission::Open { retry_after, cause } = bench.check() else {
        panic!("it is open");
    };
    assert_eq!(retry_after + secs(1), period);
    assert_eq!(*cause, failure(Kind::Refused, HEAD));
    bench.now += retry_after.mul_f64(0.75);
    assert!(bench.open_for() <= retry_after.mul_f64(0.26));
}

#[test]
fn exactly_one_of_many_probes() {
    let mut bench = Bench::new(1);
    bench.fail();
    bench.now += CAP;
    let verdicts: Vec<_> = (0..64).map(|_| bench.check()).collect();
    assert!(matches!(verdicts[0], Admission::HalfOpen));
    let rejected = verdicts[1..].iter().filter(|verdict| {
        matches!(verdict, Admission::Open { retry_after, cause }
            if !retry_after.is_zero() && cause.kind == Kind::Refused)
    });
    assert_eq!(rejected.count(), 63);
}

#[test]
fn each_failed_probe_doubles_the_time_up_to_the_cap() {
    let mut bench = Bench::new(1);
    bench.fail();
    for window in [5, 10, 20, 40, 60, 60, 60].map(secs) {
        let period = bench.open_for();
        assert!(
            period >= window / 2 && period <= window,
            "{period:?} of {window:?}"
        );
        bench.probe();
        bench.fail();
    }
}

#[test]
fn success_closes_and_forgets() {
    let mut bench = Bench::new(1);
    for _ in 0..4 {
        bench.fail();
        bench.probe();
    }
    bench.breaker.succeeded(&HEAD);
    assert!(matches!(bench.check(), Admission::Closed));
    bench.fail();
    assert!(bench.open_for() <= RESET);
}

#[test]
fn callers_who_shared_a_failure_count_once() {
    let mut bench = Bench::new(1);
    bench.fail();
    let period = bench.open_for();
    for _ in 0..63 {
        bench.fail();
    }
    assert_eq!(bench.open_for(), period);
}

#[test]
fn the_last_cause_is_the_one_that_is_told() {
    let mut bench = Bench::new(1);
    bench.fail();
    let news = failure(Kind::Dns, HEAD);
    bench.breaker.opened(&HEAD, news, RESET, bench.now);
    assert!(matches!(bench.check(), Admission::Open { cause, .. } if cause.kind == Kind::Dns));
}

#[test]
fn a_probe_that_vanished_wedges_nothing() {
    let mut bench = Bench::new(1);
    bench.fail();
    bench.probe();
    let lease = bench.open_for();
    assert!(lease >= secs(5) && lease <= CAP, "{lease:?}");
    bench.probe();
    // The late report of the first one counts, the second one's is the same failure.
    bench.fail();
    let period = bench.open_for();
    assert!(period <= RESET * 2);
    bench.fail();
    assert_eq!(bench.open_for(), period);
}

#[test]
fn a_probe_that_was_given_back_is_taken_by_the_next() {
    let mut bench = Bench::new(1);
    bench.fail();
    bench.probe();
    bench.breaker.released(&HEAD, bench.now);
    assert!(matches!(bench.check(), Admission::HalfOpen));
    // Only whoever has it can give it back.
    bench.fail();
    bench.breaker.released(&HEAD, bench.now);
    assert!(matches!(bench.check(), Admission::Open { .. }));
}

#[test]
fn zero_switches_it_off() {
    let mut bench = Bench::new(1);
    let cause = || failure(Kind::Refused, HEAD);
    bench
        .breaker
        .opened(&HEAD, cause(), Duration::ZERO, bench.now);
    assert!(matches!(bench.check(), Admission::Closed));
    bench.fail();
    bench
        .breaker
        .opened(&HEAD, cause(), Duration::ZERO, bench.now);
    assert!(matches!(bench.check(), Admission::Closed));
}

#[test]
fn a_year_of_reset_is_the_cap() {
    let mut bench = Bench::new(1);
    let cause = failure(Kind::Refused, HEAD);
    let year = secs(365 * 24 * 3_600);
    bench.breaker.opened(&HEAD, cause, year, bench.now);
    assert!(bench.open_for() <= CAP);
}

#[test]
fn services_do_not_come_back_all_at_once() {
    let periods = (0..100).map(|seed| {
        let mut bench = Bench::new(seed);
        bench.fail();
        bench.open_for().as_millis()
    });
    let different: std::collections::BTreeSet<_> = periods.collect();
    assert!(different.len() > 90, "{}", different.len());
}

#[test]
fn the_number_of_targets_is_bounded() {
    let mut breaker = Breaker::new(Rng::with_seed(1));
    let now = Instant::now();
    for n in 0..1_000_u64 {
        let at = now + millis(n);
        breaker.opened(&n, failure(Kind::Refused, HEAD), RESET, at);
        // Never the newest for the sake of the oldest, however the jitter falls.
        let verdict = breaker.check(&n, at);
        assert!(matches!(verdict, Admission::Open { .. }), "{n}");
    }
    let at = now + secs(1);
    let open = (0..1_000).filter(|n| matches!(breaker.check(n, at), Admission::Open { .. }));
    assert_eq!(open.count(), 64);
}

#[test]
fn targets_are_keys() {
    let mut breaker = Breaker::new(Rng::with_seed(1));
    let now = Instant::now();
    breaker.opened(&target(HEAD), failure(Kind::Refused, HEAD), RESET, now);
    let verdict = breaker.check(&target(HEAD), now);
    assert!(matches!(verdict, Admission::Open { .. }));
    let verdict = breaker.check(&target(OTHER), now);
    assert!(matches!(verdict, Admission::Closed));
}

#[test]
fn turning_away_copies_nothing() {
    let mut bench = Bench::new(1);
    bench.fail();
    let cause = |verdict| match verdict {
        Admission::Open { cause, .. } => cause,
        verdict => panic!("{verdict:?}"),
    };
    let (one, other) = (cause(bench.check()), cause(bench.check()));
    assert!(Arc::ptr_eq(&one, &other));
}

#[test]
fn who_is_turned_away_is_told_why_and_when_to_come_back() {
    let mut cause = failure(Kind::Refused, HEAD);
    cause.attempts = 15;
    let error = circuit_open(&cause, millis(4_200));
    assert_eq!(error.kind, Kind::CircuitOpen);
    assert_eq!((error.address.as_str(), error.attempts), (HEAD, 15));
    assert_eq!(error.retry_after, Some(millis(4_200)));
    assert_eq!(
        error.to_string(),
        "Not connecting to ray://head:10001 for another 4.2 s, because the last try failed: \
         ray://head:10001: refused. Try a hint. SEEDCORE_RAY_BREAKER_RESET_S shortens the pause, \
         0 switches it off."
    );
}

proptest! {
    /// Whatever happens: the time told is never zero and never beyond the cap, and after that
    /// time exactly one caller probes.
    #[test]
    fn the_time_told_holds(
        seed in any::<u64>(),
        reset_ns in 1..120_000_000_000_u64,
        events in prop::collection::vec((0..5_u8, 0..90_000_u64), 1..60),
    ) {
        let mut bench = Bench::new(seed);
        let reset = Duration::from_nanos(reset_ns);
        for (event, pause) in events {
            bench.now += millis(pause);
            match event {
                0 | 1 => {
                    let cause = failure(Kind::Refused, HEAD);
                    bench.breaker.opened(&HEAD, cause, reset, bench.now);
                }
                2 => bench.breaker.succeeded(&HEAD),
                3 => bench.breaker.released(&HEAD, bench.now),
                _ => {}
            }
            if let Admission::Open { retry_after, .. } = bench.check() {
                prop_assert!(!retry_after.is_zero() && retry_after <= CAP);
                bench.now += retry_after;
                let first = bench.check();
                prop_assert!(matches!(first, Admission::HalfOpen), "{:?}", first);
                // Panics unless it is open.
                bench.open_for();
            }
        }
    }
}

#[test]
fn whoever_keeps_a_no_sees_that_it_is_old() {
    let session = Session::default();
    let cause = failure(Kind::Refused, HEAD);
    let kept = session.note_failure(&cause);
    assert_eq!(session.revision.load(Ordering::Relaxed), kept);
    let changes: [(&str, &dyn Fn()); 4] = [
        ("another call failed", &|| {
            session.note_failure(&failure(Kind::Refused, OTHER));
        }),
        ("the probe failed", &|| {
            session.circuits.failed(&target(HEAD), &cause, RESET);
        }),
        ("the probe vanished", &|| {
            session.circuits.abandoned(&target(HEAD));
        }),
        ("shutdown_ray", &|| {
            let _ = session.shutdown().next(false);
        }),
    ];
    for (what, change) in changes {
        let kept = session.revision.load(Ordering::Relaxed);
        change();
        assert_ne!(session.revision.load(Ordering::Relaxed), kept, "{what}");
    }
}
