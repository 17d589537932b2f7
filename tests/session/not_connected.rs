//! Why there is no connection, in the words of whoever must not make one.

use seedcore_ray::absence::absence;
use seedcore_ray::error::Kind;
use seedcore_ray::flight::Deadline;
use seedcore_ray::session::Session;
use tokio::time::sleep;

use crate::scene::{HEAD, Scene, Wish, failure, foreign, millis, secs};

#[test]
fn nobody_has_asked_or_not_any_more() {
    let session = Session::default();
    let never = absence(&session);
    assert_eq!(
        (never.kind, never.address.as_str()),
        (Kind::NotConnected, "")
    );
    assert!(never.message.contains("nobody has called"), "{never}");
    session.adopt(foreign());
    session.dropped();
    let gone = absence(&session);
    assert_eq!(gone.kind, Kind::NotConnected);
    assert!(gone.message.contains("any more"), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn a_connect_is_under_way() {
    let scene = Scene::new();
    let caller = scene.ask(Wish::of(HEAD, secs(1)));
    sleep(millis(100)).await;
    let waiting = absence(&scene.session);
    assert_eq!(waiting.kind, Kind::NotConnected);
    assert!(waiting.message.contains("still under way"), "{waiting}");
    let failed = caller.await.unwrap().result.err();
    assert_eq!(Some(absence(&scene.session)), failed);
}

#[test]
fn a_failure_that_is_known_is_the_reason() {
    let session = Session::default();
    let known = failure(Kind::Dns, HEAD);
    session.note_failure(&known);
    assert_eq!(absence(&session), known);
}

#[tokio::test(start_paused = true)]
async fn a_forked_child_says_so_before_anybody_asks() {
    let child = Session::forked();
    assert_eq!(absence(&child).kind, Kind::Forked);
    let flight = Scene::new().flight(Wish::of(HEAD, secs(1)));
    drop(child.join(&flight, Deadline::Once));
    assert_eq!(absence(&child).kind, Kind::Forked);
}
