//! Why there is no connection, as a caller is told that must not connect.

use seedcore_ray::error::Kind;
use seedcore_ray::flight::Patience;
use seedcore_ray::session::{Gone, Session};
use tokio::time::sleep;

use crate::scene::{HEAD, Scene, Wish, connection, failure, foreign, millis, secs};

#[test]
fn nobody_has_asked_or_not_any_more() {
    let session = Session::default();
    let never = session.not_connected_reason();
    assert_eq!(
        (never.kind, never.address.as_str()),
        (Kind::NotConnected, "")
    );
    assert!(never.message.contains("nobody has called"), "{never}");
    let _ = session.adopt(connection(foreign()), None);
    session.gone(Gone::ShutDown);
    let gone = session.not_connected_reason();
    assert_eq!(gone.kind, Kind::NotConnected);
    assert!(gone.message.contains("any more"), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn a_connect_is_under_way() {
    let scene = Scene::new();
    let caller = scene.ask(Wish::of(HEAD, secs(1)));
    sleep(millis(100)).await;
    let waiting = scene.session.not_connected_reason();
    assert_eq!(waiting.kind, Kind::NotConnected);
    assert!(waiting.message.contains("still under way"), "{waiting}");
    // What the connect itself has found, which it reports to the session only when it ends.
    let found = scene.session.cause().unwrap();
    assert!(
        waiting
            .message
            .ends_with(&format!("still under way: {}", found.message)),
        "{waiting}"
    );
    let failed = caller.await.unwrap().result.err();
    assert_eq!(Some(scene.session.not_connected_reason()), failed);
}

#[test]
fn a_failure_that_is_known_is_the_reason() {
    let session = Session::default();
    let known = failure(Kind::Dns, HEAD);
    session.note_failure(&known);
    assert_eq!(session.not_connected_reason(), known);
}

#[tokio::test(start_paused = true)]
async fn a_forked_child_says_so_before_anybody_asks() {
    let child = Session::forked();
    assert_eq!(child.not_connected_reason().kind, Kind::Forked);
    let flight = Scene::new().flight(Wish::of(HEAD, secs(1)));
    let target = &flight.probe_plan.target;
    drop(child.join(target, false, Patience::of(secs(0)), || flight.clone()));
    assert_eq!(child.not_connected_reason().kind, Kind::Forked);
}
