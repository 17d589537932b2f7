//! One build of a value at a time, and no caller that waits for itself.

use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use seedcore_ray::lazy::{BuildGuard, BuildId, BuildTable, BuildWait, Caller, Entry, LazyId};
use tokio::time::timeout;

static TABLE: LazyLock<BuildTable> = LazyLock::new(BuildTable::default);

fn enter(value: LazyId, inside: &[BuildId], blocks: bool) -> Entry {
    TABLE.enter(value, Caller { inside, blocks })
}

fn build(value: LazyId, inside: &[BuildId]) -> BuildGuard {
    match enter(value, inside, false) {
        Entry::Build(guard) => guard,
        other => panic!("not to be built: {other:?}"),
    }
}

fn wait(value: LazyId, inside: &[BuildId]) -> BuildWait {
    match enter(value, inside, false) {
        Entry::Wait(wait) => wait,
        other => panic!("not to be waited for: {other:?}"),
    }
}

async fn ends(wait: BuildWait) -> bool {
    timeout(Duration::from_millis(50), wait.wait())
        .await
        .is_ok()
}

#[tokio::test]
async fn one_caller_builds_and_the_others_wait_for_the_end() {
    let value = LazyId::next();
    let guard = build(value, &[]);
    let (waits, early) = (wait(value, &[]), wait(value, &[]));
    assert!(!ends(early).await);
    drop(guard);
    assert!(ends(waits).await);
    drop(build(value, &[]));
}

#[tokio::test]
async fn the_end_of_one_build_is_not_that_of_the_next() {
    let value = LazyId::next();
    let first = build(value, &[]);
    let waits = wait(value, &[]);
    drop(first);
    let second = build(value, &[]);
    assert!(ends(waits).await);
    let waits = wait(value, &[]);
    assert!(!ends(waits).await);
    drop(second);
}

#[test]
fn a_value_that_asks_for_itself() {
    let (value, other) = (LazyId::next(), LazyId::next());
    let outer = build(value, &[]);
    assert!(matches!(
        enter(value, &[outer.id()], false),
        Entry::Deadlock
    ));
    let inner = build(other, &[outer.id()]);
    let inside = [outer.id(), inner.id()];
    assert!(matches!(enter(value, &inside, false), Entry::Deadlock));
}

#[test]
fn values_that_wait_for_each_other() {
    let [a, b, c] = [LazyId::next(), LazyId::next(), LazyId::next()];
    let (build_a, build_b, build_c) = (build(a, &[]), build(b, &[]), build(c, &[]));
    let a_waits_for_b = wait(b, &[build_a.id()]);
    let b_waits_for_c = wait(c, &[build_b.id()]);
    assert!(matches!(enter(a, &[build_c.id()], false), Entry::Deadlock));
    // A caller that is inside none of them may wait for any.
    drop(wait(a, &[]));
    // Once the ring is open, a wait is safe again.
    drop(a_waits_for_b);
    drop(wait(a, &[build_c.id()]));
    drop(b_waits_for_c);
}

#[test]
fn a_thread_that_blocks_cannot_wait_for_what_runs_on_it() {
    let (value, other) = (LazyId::next(), LazyId::next());
    let guard = build(value, &[]);
    assert!(matches!(enter(value, &[], true), Entry::Deadlock));
    drop(wait(value, &[]));
    // Another thread may; and this one may not wait for what waits for it.
    thread::spawn(move || assert!(matches!(enter(value, &[], true), Entry::Wait(_))))
        .join()
        .unwrap();
    let elsewhere = thread::spawn(move || build(other, &[])).join().unwrap();
    let waits = wait(value, &[elsewhere.id()]);
    assert!(matches!(enter(other, &[], true), Entry::Deadlock));
    drop(waits);
    assert!(matches!(enter(other, &[], true), Entry::Wait(_)));
    drop(guard);
}
