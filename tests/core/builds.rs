//! One maker for each value, and nobody who waits for themselves.

use std::thread;
use std::time::Duration;

use seedcore_ray::lazy::{Caller, Entry, Over, Ticket, Turn};
use seedcore_ray::process::process;
use tokio::time::timeout;

fn enter(value: Ticket, inside: &[Ticket], blocks: bool) -> Entry {
    process().makings.enter(value, Caller { inside, blocks })
}

fn mine(value: Ticket, inside: &[Ticket]) -> Turn {
    match enter(value, inside, false) {
        Entry::Mine(turn) => turn,
        other => panic!("not mine: {other:?}"),
    }
}

fn others(value: Ticket, inside: &[Ticket]) -> Over {
    match enter(value, inside, false) {
        Entry::Others(over) => over,
        other => panic!("not another's: {other:?}"),
    }
}

async fn is_over(over: Over) -> bool {
    timeout(Duration::from_millis(50), over.wait())
        .await
        .is_ok()
}

#[tokio::test]
async fn one_makes_it_and_the_others_wait_for_the_end() {
    let value = Ticket::next();
    let turn = mine(value, &[]);
    let (waits, early) = (others(value, &[]), others(value, &[]));
    assert!(!is_over(early).await);
    drop(turn);
    assert!(is_over(waits).await);
    drop(mine(value, &[]));
}

#[tokio::test]
async fn the_end_of_one_making_is_not_that_of_the_next() {
    let value = Ticket::next();
    let first = mine(value, &[]);
    let waits = others(value, &[]);
    drop(first);
    let second = mine(value, &[]);
    assert!(is_over(waits).await);
    let waits = others(value, &[]);
    assert!(!is_over(waits).await);
    drop(second);
}

#[test]
fn a_value_that_asks_for_itself() {
    let (value, other) = (Ticket::next(), Ticket::next());
    let outer = mine(value, &[]);
    assert!(matches!(
        enter(value, &[outer.ticket()], false),
        Entry::Circular
    ));
    let inner = mine(other, &[outer.ticket()]);
    let inside = [outer.ticket(), inner.ticket()];
    assert!(matches!(enter(value, &inside, false), Entry::Circular));
}

#[test]
fn values_that_wait_for_each_other() {
    let [a, b, c] = [Ticket::next(), Ticket::next(), Ticket::next()];
    let (making_a, making_b, making_c) = (mine(a, &[]), mine(b, &[]), mine(c, &[]));
    let a_waits_for_b = others(b, &[making_a.ticket()]);
    let b_waits_for_c = others(c, &[making_b.ticket()]);
    assert!(matches!(
        enter(a, &[making_c.ticket()], false),
        Entry::Circular
    ));
    // Who is inside of none of them may wait for any.
    drop(others(a, &[]));
    // Once the ring is open, there is nothing to fear.
    drop(a_waits_for_b);
    drop(others(a, &[making_c.ticket()]));
    drop(b_waits_for_c);
}

#[test]
fn a_thread_that_blocks_cannot_wait_for_what_runs_on_it() {
    let (value, other) = (Ticket::next(), Ticket::next());
    let turn = mine(value, &[]);
    assert!(matches!(enter(value, &[], true), Entry::Circular));
    drop(others(value, &[]));
    // Another thread may; and this one may not wait for what waits for it.
    thread::spawn(move || assert!(matches!(enter(value, &[], true), Entry::Others(_))))
        .join()
        .unwrap();
    let elsewhere = thread::spawn(move || mine(other, &[])).join().unwrap();
    let waits = others(value, &[elsewhere.ticket()]);
    assert!(matches!(enter(other, &[], true), Entry::Circular));
    drop(waits);
    assert!(matches!(enter(other, &[], true), Entry::Others(_)));
    drop(turn);
}
