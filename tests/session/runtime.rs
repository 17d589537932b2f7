//! The runtime, from first use to the end of the process.

use std::sync::mpsc;
use std::thread;

use seedcore_ray::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::scene::millis;

#[test]
fn it_blocks_and_spawns() {
    let runtime = Runtime::default();
    let spawned = runtime.handle().unwrap().spawn(async { 1 });
    assert_eq!(runtime.block_on(spawned).unwrap().unwrap(), 1);
}

#[test]
fn after_the_stop_it_answers_without_a_thread() {
    let runtime = Runtime::default();
    runtime.block_on(async { sleep(millis(1)).await }).unwrap();
    runtime.stop();
    assert!(runtime.handle().is_err() && runtime.is_stopped());
    runtime.block_on(async { sleep(millis(1)).await }).unwrap();
    runtime.stop();
}

#[test]
fn a_runtime_that_never_was_stays_away_after_the_stop() {
    let runtime = Runtime::default();
    runtime.stop();
    assert!(runtime.handle().is_err());
}

#[test]
fn the_stop_breaks_no_visit() {
    let runtime = Runtime::default();
    let (release, released) = oneshot::channel();
    let (entered, has_entered) = mpsc::channel();
    thread::scope(|scope| {
        let blocked = scope.spawn(|| {
            let _visit = runtime.visit();
            runtime.block_on(async {
                entered.send(()).unwrap();
                released.await.unwrap();
                // Its timers still work: a stopped runtime's would panic.
                sleep(millis(1)).await;
            })
        });
        has_entered.recv().unwrap();
        runtime.stop();
        release.send(()).unwrap();
        blocked.join().unwrap().unwrap();
    });
}

#[test]
fn the_stop_wakes_who_waits_for_it() {
    let runtime = Runtime::default();
    let (entered, has_entered) = mpsc::channel();
    let waits = || {
        let _visit = runtime.visit();
        runtime.block_on(async {
            let stopped = runtime.stopped();
            entered.send(()).unwrap();
            tokio::time::timeout(millis(20_000), stopped).await
        })
    };
    thread::scope(|scope| {
        let waiting = scope.spawn(waits);
        has_entered.recv().unwrap();
        runtime.stop();
        waiting.join().unwrap().unwrap().unwrap();
    });
    // Who comes later does not wait at all.
    runtime.block_on(runtime.stopped()).unwrap();
}
