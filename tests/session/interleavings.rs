//! Callers that come and go, servers that do, closes and late inits, in any order.

use std::time::Duration;

use proptest::prelude::*;
use seedcore_ray::error::Kind;
use seedcore_ray::session::State;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::scene::{Answer, GRACE, HEAD, INIT, Init, OTHER, PROBE, Scene, Server, Wish};
use crate::scene::{foreign, millis, secs};

#[derive(Clone, Debug)]
enum Event {
    Ask(bool, Duration, bool),
    /// The caller of that number, modulo how many there are, goes away.
    Leave(usize),
    Server(bool, Server),
    NextInit(Init),
    Close,
    Adopt,
    /// Ray is shut down behind our back.
    Lost,
}

fn event() -> impl Strategy<Value = Event> {
    let timeout = prop_oneof![
        Just(Duration::ZERO),
        (1..500_u64).prop_map(millis),
        (1..40_u64).prop_map(secs)
    ];
    let kind = prop_oneof![
        Just(Server::Up),
        Just(Server::Silent),
        Just(Server::Slow(millis(1_500))),
        Just(Server::Fails(Kind::Dns)),
        Just(Server::Fails(Kind::NotReady)),
        Just(Server::Fails(Kind::Auth)),
        Just(Server::Fails(Kind::Refused)),
    ];
    let after = (1..80_u64).prop_map(secs);
    prop_oneof![
        8 => (any::<bool>(), timeout, prop::bool::weighted(0.2))
            .prop_map(|(head, timeout, force)| Event::Ask(head, timeout, force)),
        3 => any::<usize>().prop_map(Event::Leave),
        4 => (any::<bool>(), kind).prop_map(|(head, is)| Event::Server(head, is)),
        1 => after.clone().prop_map(|after| Event::NextInit(Init::Connects { after })),
        1 => after.prop_map(|after| Event::NextInit(Init::Raises { after })),
        1 => Just(Event::Close),
        1 => Just(Event::Adopt),
        1 => Just(Event::Lost),
    ]
}

fn server(head: bool) -> (&'static str, &'static str) {
    if head {
        (HEAD, "head:10001")
    } else {
        (OTHER, "other:10001")
    }
}

/// The longest that a caller waits: its deadline, or one look after one look of waiting for its
/// turn. Then `ray.init`, which has a bound of its own; a cause that time can cure comes before it.
fn bound(timeout: Duration, kind: Option<Kind>) -> Duration {
    let deadline = if timeout.is_zero() {
        PROBE * 2
    } else {
        timeout
    };
    let is_early = kind.is_some_and(Kind::is_transient);
    deadline + GRACE + if is_early { Duration::ZERO } else { INIT }
}

async fn play(events: Vec<(u64, Event)>) {
    let scene = Scene::new();
    let mut callers: Vec<(Duration, JoinHandle<Answer>)> = Vec::new();
    for (pause, event) in events {
        sleep(millis(pause)).await;
        match event {
            Event::Ask(head, timeout, force) => {
                let mut wish = Wish::of(server(head).0, timeout);
                wish.force = force;
                callers.push((timeout, scene.ask(wish)));
            }
            Event::Leave(n) if !callers.is_empty() => {
                let (_, caller) = callers.swap_remove(n % callers.len());
                caller.abort();
            }
            Event::Server(head, is) => scene.set(server(head).1, scene.at(), is),
            Event::NextInit(init) => scene.then_init(init),
            Event::Close => drop(tokio::spawn({
                let scene = scene.clone();
                async move { scene.close().await }
            })),
            Event::Adopt if !scene.session.is_changing() => scene.adopt(foreign()),
            Event::Lost if scene.session.is_connected() => scene.lose(),
            Event::Leave(_) | Event::Adopt | Event::Lost => {}
        }
    }
    for (timeout, caller) in callers {
        let answer = caller.await.unwrap();
        let bound = bound(timeout, answer.kind());
        assert!(answer.took <= bound, "{answer:?} of {timeout:?}");
    }
    // The last `ray.init` may have been given up and still run.
    sleep(secs(200)).await;
    settled(&scene).await;
}

/// Nothing is under way, nothing was mixed up, and the next caller gets through.
async fn settled(scene: &std::sync::Arc<Scene>) {
    assert!(scene.most_inits_at_once() <= 1);
    assert!(!scene.session.is_changing());
    assert_eq!(scene.session.is_connected(), scene.ray_is_up());
    assert_eq!(
        scene.session.is_connected(),
        scene.session.connection().is_some()
    );
    assert_ne!(scene.session.state(), State::Connecting);
    assert!(scene.close().await);
    scene.set("head:10001", scene.at(), Server::Up);
    scene.forget_inits();
    scene.connected(HEAD).await;
    assert_eq!(scene.session.last_error(), None);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn nobody_waits_too_long_and_inits_never_overlap(
        events in prop::collection::vec((0..3_000_u64, event()), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(play(events));
    }
}
