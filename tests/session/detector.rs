//! What follows from a row of looks.

use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::*;
use seedcore_ray::error::Kind;
use seedcore_ray::health::{
    Change, CheckResult, DetectorSettings, FailureDetector, RaysPatience, grace, last_moment,
};
use seedcore_ray::retry::{BACKOFF_CAP, Backoff};
use tokio::time::Instant;

use crate::scene::{HEAD, failure, millis, secs};

const RHYTHM: DetectorSettings = DetectorSettings {
    interval: secs(5),
    misses: 3,
    grace: secs(40),
};

fn missed(kind: Kind) -> CheckResult {
    CheckResult::NoAnswer(failure(kind, HEAD))
}

fn name(change: Option<&Change>) -> &'static str {
    match change {
        None => "-",
        Some(Change::Unhealthy(_)) => "unhealthy",
        Some(Change::Recovered) => "recovered",
        Some(Change::Lost(_)) => "lost",
    }
}

/// Changes by second, for looks that take no time.
fn looks(sights: &[(u64, CheckResult)]) -> Vec<&'static str> {
    let began = Instant::now();
    let mut detector = FailureDetector::new(RHYTHM, began, Rng::with_seed(1));
    sights
        .iter()
        .map(|(at, sight)| name(detector.record(sight.clone(), began + secs(*at)).as_ref()))
        .collect()
}

#[test]
fn a_miss_or_two_are_nothing() {
    let silent = || missed(Kind::Timeout);
    let row = [
        (5, silent()),
        (10, silent()),
        (15, CheckResult::Answered),
        (20, silent()),
        (25, silent()),
    ];
    assert_eq!(looks(&row), ["-"; 5]);
}

#[test]
fn what_comes_back_in_time_was_never_lost() {
    let silent = || missed(Kind::Timeout);
    let row = [
        (5, silent()),
        (10, silent()),
        (15, silent()),
        (39, silent()),
        (39, CheckResult::Answered),
    ];
    assert_eq!(looks(&row), ["-", "-", "unhealthy", "-", "recovered"]);
}

#[test]
fn hope_ends_with_the_grace() {
    let refused = || missed(Kind::Refused);
    let row = [
        (1, refused()),
        (2, refused()),
        (3, refused()),
        (39, refused()),
        (40, refused()),
    ];
    assert_eq!(looks(&row), ["-", "-", "unhealthy", "-", "lost"]);
}

#[test]
fn another_cluster_is_a_loss_at_once() {
    let replaced = CheckResult::Replaced(failure(Kind::Lost, HEAD));
    assert_eq!(
        looks(&[(5, replaced.clone()), (6, replaced)]),
        ["lost", "-"]
    );
}

#[test]
fn a_control_plane_that_answers_is_never_lost() {
    let ailing = |at| (at, CheckResult::Degraded(failure(Kind::NotReady, HEAD)));
    let mut row: Vec<_> = (1..100).map(ailing).collect();
    row.push((100, CheckResult::Answered));
    let changes = looks(&row);
    assert_eq!(changes.iter().filter(|change| **change != "-").count(), 2);
    assert_eq!((changes[2], changes[99]), ("unhealthy", "recovered"));
}

#[test]
fn a_refusal_is_confirmed_at_once() {
    let began = Instant::now();
    let mut detector = FailureDetector::new(RHYTHM, began, Rng::with_seed(1));
    let now = began + secs(5);
    let _ = detector.record(missed(Kind::Refused), now);
    assert_eq!(detector.next_check(now, now), now + millis(100));
    let _ = detector.record(missed(Kind::Timeout), now);
    assert!(detector.next_check(now, now) > now + secs(3));
}

#[test]
fn the_parachute_opens_before_rays_own_deadline() {
    let native =
        |given: Option<u64>, deadline| grace(given.map(secs), RaysPatience::Native(secs(deadline)));
    assert_eq!(native(None, 60), secs(40));
    assert_eq!(native(Some(300), 60), secs(50));
    assert_eq!(native(None, 20), secs(10));
    assert_eq!(native(Some(40), 4), secs(2));
    assert_eq!(last_moment(secs(60)), secs(50));
}

#[test]
fn patience_that_was_raised_in_ray_is_ours_too() {
    assert_eq!(grace(None, RaysPatience::Native(secs(600))), secs(590));
    assert_eq!(
        grace(Some(secs(40)), RaysPatience::Native(secs(600))),
        secs(40)
    );
    assert_eq!(grace(None, RaysPatience::Client(secs(30))), secs(40));
    assert_eq!(grace(None, RaysPatience::Client(secs(300))), secs(310));
    assert_eq!(
        grace(Some(secs(5)), RaysPatience::Client(secs(300))),
        secs(5)
    );
    // Lowered: Ray gives its session up by itself, which the monitor sees.
    assert_eq!(grace(None, RaysPatience::Client(secs(10))), secs(40));
}

#[test]
fn what_is_broken_is_unhealthy_at_once_and_lost_when_that_is_confirmed() {
    let began = Instant::now();
    let mut detector = FailureDetector::new(RHYTHM, began, Rng::with_seed(1));
    let broken = || CheckResult::Broken(failure(Kind::NotReady, HEAD));
    let mut at = began + secs(1);
    let mut changes = Vec::new();
    for sight in [
        broken(),
        broken(),
        CheckResult::Answered,
        broken(),
        broken(),
        broken(),
    ] {
        changes.push(name(detector.record(sight, at).as_ref()));
        at = detector.next_check(at, at);
    }
    assert_eq!(
        changes,
        ["unhealthy", "-", "recovered", "unhealthy", "-", "lost"]
    );
}

proptest! {
    /// Whatever is seen: nothing recovers that was well, nothing ails twice, nothing is lost before
    /// its time, and a look is due no later than the interval says.
    #[test]
    fn changes_make_sense(sights in proptest::collection::vec((0_u8..6, 0_u64..8), 1..80), seed: u64) {
        let mut now = Instant::now();
        let mut detector = FailureDetector::new(RHYTHM, now, Rng::with_seed(seed));
        let (mut state, mut last_answer) = ("recovered", now);
        for (sight, pause) in sights {
            now += secs(pause);
            let sight = match sight {
                0 | 1 => CheckResult::Answered,
                2 => missed(Kind::Timeout),
                3 => missed(Kind::Refused),
                4 => CheckResult::Degraded(failure(Kind::NotReady, HEAD)),
                _ => CheckResult::Replaced(failure(Kind::Lost, HEAD)),
            };
            let replaced = matches!(sight, CheckResult::Replaced(_));
            let answered = matches!(sight, CheckResult::Answered | CheckResult::Degraded(_));
            let change = detector.record(sight, now);
            match name(change.as_ref()) {
                "-" => {}
                "unhealthy" => { prop_assert_eq!(state, "recovered"); state = "unhealthy"; }
                "recovered" => { prop_assert_ne!(state, "recovered"); state = "recovered"; }
                _ => {
                    prop_assert_ne!(state, "lost");
                    prop_assert!(replaced || now >= last_answer + RHYTHM.grace);
                    state = "lost";
                }
            }
            if answered { last_answer = now; }
            let next = detector.next_check(now, now);
            prop_assert!(next >= now && next <= now + RHYTHM.interval);
        }
    }

    #[test]
    fn tries_spread_over_a_window_that_grows_to_its_cap(seed: u64) {
        let mut backoff = Backoff::new(Rng::with_seed(seed));
        let windows = [500, 1000, 2000, 4000, 5000, 5000, 5000];
        for window in windows {
            prop_assert!(backoff.pause() <= millis(window));
        }
        prop_assert!(Duration::from_secs(5) == BACKOFF_CAP);
    }
}
