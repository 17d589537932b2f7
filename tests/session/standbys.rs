//! Other clusters that stand in while the one that was asked for is away.

use std::sync::Arc;
use std::time::Duration;

use seedcore_ray::error::Kind;
use seedcore_ray::events::What;
use seedcore_ray::exposition::families;
use seedcore_ray::health::Plan;
use seedcore_ray::preflight::Role;
use tokio::time::sleep;
use tracing::Level;

use crate::scene::{HEAD, PROBE, Scene, Server, Wish, secs};

const FALLBACK: &str = "ray://fallback:10001";
const BLUE: &str = "ray://blue:10001";
const GREEN: &str = "ray://green:10001";
const SERVER: &str = "head:10001";
const PLAN: Plan = Plan::every(secs(5));

/// A watched connection to [`HEAD`], which is lost at second 30; [`BLUE`] and [`GREEN`] stand by.
async fn connected() -> Arc<Scene> {
    let scene = Scene::with_others(&[], &[BLUE, GREEN]);
    scene.watch(PLAN);
    scene.up(SERVER);
    scene.set(SERVER, secs(30), Server::Fails(Kind::Refused));
    scene.connected(HEAD).await;
    scene
}

/// The address in use, and what it is.
fn live(scene: &Scene) -> (String, Option<Role>) {
    let connection = scene.session.connection().unwrap();
    (connection.info.address.clone(), connection.info.stand_in())
}

fn on_standby(address: &str) -> (String, Option<Role>) {
    (address.to_owned(), Some(Role::Standby))
}

#[tokio::test(start_paused = true)]
async fn they_are_asked_after_the_address_and_its_fallbacks() {
    let scene = Scene::with_others(&[FALLBACK], &[BLUE, GREEN]);
    scene.set("fallback:10001", Duration::ZERO, Server::Silent);
    scene.up("green:10001");
    scene.connected(HEAD).await;
    assert_eq!(live(&scene), on_standby(GREEN));
    let after_the_fallback = [u64::try_from(PROBE.as_millis()).unwrap()];
    for server in ["blue:10001", "green:10001"] {
        assert_eq!(
            scene.times_of(&format!("probe {server}")),
            after_the_fallback
        );
    }
    // A fallback is the same cluster, and comes first.
    let scene = Scene::with_others(&[FALLBACK], &[BLUE]);
    scene.up("fallback:10001");
    scene.up("blue:10001");
    scene.connected(HEAD).await;
    assert_eq!(live(&scene), (FALLBACK.to_owned(), Some(Role::Fallback)));
    assert_eq!(scene.count("probe blue:10001"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_order_comes_before_speed() {
    let scene = Scene::with_others(&[], &[BLUE, GREEN]);
    scene.set("blue:10001", Duration::ZERO, Server::Slow(secs(1)));
    scene.up("green:10001");
    scene.connected(HEAD).await;
    assert_eq!(live(&scene), on_standby(BLUE));
}

#[tokio::test(start_paused = true)]
async fn what_waiting_cannot_cure_has_no_standby() {
    for kind in [Kind::Auth, Kind::WrongPort, Kind::NotRay, Kind::Tls] {
        let scene = Scene::with_others(&[], &[BLUE]);
        scene.set(SERVER, Duration::ZERO, Server::Fails(kind));
        scene.up("blue:10001");
        let answer = scene.ask(Wish::of(HEAD, secs(30))).await.unwrap();
        assert_eq!(answer.kind(), Some(kind));
        assert_eq!(scene.count("probe blue:10001"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_has_gone_from_this_machine_has_standbys() {
    let scene = Scene::with_others(&[], &[BLUE]);
    scene.up("blue:10001");
    scene.connected("auto").await;
    assert_eq!(live(&scene), on_standby(BLUE));
    // It answers, from other machines; and so does the first standby.
    let scene = Scene::with_others(&[], &[BLUE, GREEN]);
    for server in [SERVER, "blue:10001"] {
        scene.set(server, Duration::ZERO, Server::WithoutRaylet);
    }
    scene.up("green:10001");
    scene.connected(HEAD).await;
    assert_eq!(live(&scene), on_standby(GREEN));
}

#[tokio::test(start_paused = true)]
async fn the_cause_reported_is_that_of_the_address() {
    let scene = Scene::with_others(&[], &[BLUE]);
    scene.set(SERVER, Duration::ZERO, Server::Fails(Kind::Dns));
    scene.set("blue:10001", Duration::ZERO, Server::Fails(Kind::Auth));
    let answer = scene.ask(Wish::of(HEAD, secs(9))).await.unwrap();
    let error = answer.result.unwrap_err();
    assert_eq!((error.kind, error.address.as_str()), (Kind::Dns, SERVER));
    // At the pace of the fallbacks.
    let times = scene.times_of("probe blue:10001");
    assert_eq!(times, [0, 2_000, 4_000, 6_000, 8_000]);
}

#[tokio::test(start_paused = true)]
async fn it_is_told_in_a_warning_an_event_and_a_metric() {
    let scene = Scene::with_others(&[], &[BLUE]);
    scene.up("blue:10001");
    assert_eq!(stand_in(&scene), "none");
    scene.connected(HEAD).await;
    let warnings = scene.lines.at(Level::WARN);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains(HEAD) && warnings[0].contains(BLUE),
        "{warnings:?}"
    );
    let event = scene.session.take_events().pop_front().unwrap();
    assert_eq!(
        (event.what, event.address.as_str()),
        (What::Connected, BLUE)
    );
    let cause = event.cause.unwrap();
    assert_eq!(
        (cause.kind, cause.address.as_str()),
        (Kind::Refused, SERVER)
    );
    assert_eq!(stand_in(&scene), "standby");
}

/// What the metrics say.
fn stand_in(scene: &Scene) -> String {
    let families = families(&scene.session, &[]);
    let mut families = families.iter();
    let family = families.find(|family| family.name == "seedcore_ray_stand_in");
    let mut samples = family.unwrap().samples.iter();
    let current = samples.find(|sample| sample.value > 0.0).unwrap();
    current.labels[0].1.to_string()
}

#[tokio::test(start_paused = true)]
async fn it_stays_until_it_is_lost_or_another_connect_is_forced() {
    let scene = Scene::with_others(&[], &[BLUE]);
    scene.watch(PLAN);
    scene.up("blue:10001");
    scene.set(SERVER, secs(30), Server::Up);
    scene.connected(HEAD).await;
    sleep(secs(120)).await;
    // Whoever asks for the address is served by what stands in for it.
    scene.connected(HEAD).await;
    assert_eq!(
        (live(&scene), scene.session.generation()),
        (on_standby(BLUE), 1)
    );
    assert_eq!(scene.lines.warnings_and_errors(), (1, 0));
    let forced = scene.ask(Wish::of(HEAD, secs(30)).forced()).await.unwrap();
    assert_eq!(forced.result, Ok(()));
    assert_eq!(live(&scene), (HEAD.to_owned(), None));
    assert_eq!(stand_in(&scene), "none");
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_the_order_begins_again_at_the_first() {
    let scene = connected().await;
    scene.up("green:10001");
    scene.until(What::Lost).await;
    let away = scene.until(What::Reconnected).await;
    assert_eq!(live(&scene), on_standby(GREEN));
    assert!(away < secs(30 + 50), "{away:?}");
    // Meanwhile all of them are back, and the one in use goes.
    let later = scene.at() + secs(60);
    for server in [SERVER, "blue:10001"] {
        scene.set(server, later, Server::Up);
    }
    scene.set("green:10001", later + secs(1), Server::Fails(Kind::Refused));
    scene.until(What::Lost).await;
    scene.until(What::Reconnected).await;
    assert_eq!(live(&scene), (HEAD.to_owned(), None));
    assert_eq!(scene.session.generation(), 3);
}

#[tokio::test(start_paused = true)]
async fn with_all_of_them_down_the_first_that_comes_back_is_taken() {
    let scene = connected().await;
    scene.set("green:10001", secs(300), Server::Up);
    scene.until(What::Lost).await;
    let back = scene.until(What::Reconnected).await;
    assert!(back > secs(300) && back < secs(306), "{back:?}");
    assert_eq!(live(&scene), on_standby(GREEN));
}

#[tokio::test(start_paused = true)]
async fn without_a_node_here_a_lost_native_cluster_has_standbys_too() {
    let scene = Scene::with_others(&[], &[BLUE, GREEN]);
    scene.watch(PLAN);
    scene.up(SERVER);
    scene.set(SERVER, secs(30), Server::WithoutRaylet);
    scene.set("blue:10001", Duration::ZERO, Server::WithoutRaylet);
    scene.up("green:10001");
    scene.connected(HEAD).await;
    let back = scene.until(What::Reconnected).await;
    assert!(back < secs(40), "{back:?}");
    assert_eq!(live(&scene), on_standby(GREEN));
    // Another node of the lost cluster that starts here is waited for, though.
    let scene = connected().await;
    scene.set(SERVER, secs(90), Server::RayletStarting);
    scene.set(SERVER, secs(120), Server::Up);
    scene.set("blue:10001", secs(92), Server::Up);
    scene.until(What::Lost).await;
    let back = scene.until(What::Reconnected).await;
    assert_eq!(live(&scene), (HEAD.to_owned(), None));
    assert!(back >= secs(120) && back < secs(121), "{back:?}");
}
