//! A connection under watch: noticed, recovered, lost, released, made again.

use std::time::Duration;

use seedcore_ray::error::Kind;
use seedcore_ray::events::What;
use seedcore_ray::health::{Plan, Release};
use seedcore_ray::session::{Gone, State};
use tokio::time::sleep;
use tracing::Level;

use crate::scene::{
    DEADLINE, HEAD, Init, PROBE, SHUTDOWN, Scene, Server, Wish, connection, failure, foreign,
    foreign_to_head, millis, secs,
};

const SERVER: &str = "head:10001";
const PLAN: Plan = Plan::every(secs(5));

/// A watched connection to a server that is like `then` from second `from` on.
async fn connected(plan: Plan, from: u64, then: Server) -> std::sync::Arc<Scene> {
    let scene = Scene::new();
    scene.watch(plan);
    scene.up(SERVER);
    scene.set(SERVER, secs(from), then);
    scene.connected(HEAD).await;
    scene
}

#[tokio::test(start_paused = true)]
async fn a_head_that_dies_is_noticed_at_once() {
    let scene = connected(PLAN, 30, Server::Fails(Kind::Refused)).await;
    let noticed = scene.until(What::Unhealthy).await;
    assert!(noticed <= millis(30_300), "{noticed:?}");
    assert_eq!(scene.session.state(), State::Unhealthy);
    // Still connected: a GCS may come back to where it was.
    assert!(scene.session.is_connected());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_a_proxy_closes_is_one_more_look() {
    let scene = connected(PLAN, 3600, Server::Up).await;
    sleep(secs(60)).await;
    let usual = scene.count("look");
    for at in [80, 100, 120] {
        scene.closes(secs(at));
    }
    sleep(secs(60)).await;
    // Jitter shortens the pauses, so one or two more than before is what chance does as well.
    let more = scene.count("look") - usual;
    assert!(more <= usual + 5, "{more} looks after {usual}");
    assert!(
        scene
            .times_of("look")
            .iter()
            .any(|at| (80_000..80_100).contains(at))
    );
    assert_eq!(scene.events(), ["connected"]);
    assert_eq!(scene.lines.warnings_and_errors(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_closes_every_connection_at_once_is_not_flooded() {
    let scene = connected(PLAN, 3600, Server::Up).await;
    for at in 10_000..20_000 {
        scene.closes(millis(at));
    }
    sleep(secs(30)).await;
    let looks = scene.times_of("look");
    let flooded = looks.iter().filter(|at| (10_000..20_000).contains(*at));
    assert!(flooded.count() <= 14, "{looks:?}");
    assert_eq!(scene.events(), ["connected"]);
}

#[tokio::test(start_paused = true)]
async fn without_its_raylet_a_driver_is_released_and_waits_for_another_one() {
    let scene = connected(PLAN, 30, Server::WithoutRaylet).await;
    scene.set(SERVER, secs(90), Server::Up);
    let unhealthy = scene.until(What::Unhealthy).await;
    let lost = scene.until(What::Lost).await;
    assert!(unhealthy <= millis(30_200), "{unhealthy:?}");
    assert!(lost <= secs(31), "{lost:?}");
    let back = scene.until(What::Reconnected).await;
    assert!(back >= secs(90) && back <= secs(96), "{back:?}");
    // No ray.init in vain: without a raylet it takes a minute to say so.
    assert_eq!(scene.count("init ray://head:10001"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_thread_of_ray_itself_may_ask_for_a_look() {
    let scene = connected(PLAN, 3600, Server::Up).await;
    sleep(millis(100)).await;
    let before = scene.count("look");
    scene.look_now();
    sleep(millis(100)).await;
    assert_eq!(scene.count("look"), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_head_is_noticed_within_its_misses_and_a_probe() {
    let scene = connected(PLAN, 30, Server::Silent).await;
    let noticed = scene.until(What::Unhealthy).await;
    assert!(
        noticed <= secs(30) + PLAN.interval * PLAN.misses + PROBE,
        "{noticed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_head_that_thaws_in_time_costs_nothing() {
    let scene = connected(PLAN, 30, Server::Silent).await;
    scene.set(SERVER, secs(60), Server::Up);
    sleep(secs(120)).await;
    assert_eq!(scene.events(), ["connected", "unhealthy", "recovered"]);
    assert_eq!(scene.session.state(), State::Connected);
    assert_eq!((scene.session.generation(), scene.count("release")), (1, 0));
    assert_eq!(scene.lines.warnings_and_errors(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn ray_is_released_before_it_ends_the_process_and_connected_to_the_new_head() {
    let scene = connected(PLAN, 30, Server::Fails(Kind::Refused)).await;
    scene.replaced(secs(120), 1);
    scene.set(SERVER, secs(120), Server::Up);
    let lost = scene.until(What::Lost).await;
    assert!(lost >= secs(65) && lost <= secs(71), "{lost:?}");
    let released = millis(scene.times_of("release")[0]);
    assert!(released + SHUTDOWN < secs(30) + DEADLINE, "{released:?}");
    let back = scene.until(What::Reconnected).await;
    assert!(back > secs(120) && back < secs(126), "{back:?}");
    assert_eq!(
        (scene.session.state(), scene.session.generation()),
        (State::Connected, 2)
    );
    assert_eq!(scene.count("release"), 1);
    // One line for each change: unhealthy, lost.
    assert_eq!(scene.lines.warnings_and_errors(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_was_replaced_is_left_at_once() {
    let scene = connected(PLAN, 3600, Server::Up).await;
    scene.replaced(secs(30), 1);
    let lost = scene.until(What::Lost).await;
    assert!(lost <= secs(35), "{lost:?}");
    let back = scene.until(What::Reconnected).await;
    assert!(back <= lost + SHUTDOWN + secs(1), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn two_losses_in_a_row() {
    let scene = connected(PLAN, 3600, Server::Up).await;
    scene.replaced(secs(30), 1);
    scene.replaced(secs(60), 2);
    sleep(secs(100)).await;
    let each = ["lost", "reconnected"];
    assert_eq!(scene.events(), [&["connected"][..], &each, &each].concat());
    assert_eq!(scene.session.generation(), 3);
}

#[tokio::test(start_paused = true)]
async fn callers_in_between_are_told_at_once_and_when_to_come_back() {
    let scene = connected(PLAN, 30, Server::Fails(Kind::Refused)).await;
    scene.until(What::Lost).await;
    assert_eq!(scene.session.state(), State::Lost);
    sleep(SHUTDOWN + secs(3)).await;
    assert_eq!(scene.session.state(), State::Reconnecting);
    let error = scene.session.last_error().unwrap();
    assert_eq!(error.kind, Kind::Lost);
    assert!(error.message.contains("refused"), "{error}");
    let retry_after = error.retry_after.unwrap();
    assert!(
        !retry_after.is_zero() && retry_after <= secs(5),
        "{retry_after:?}"
    );
    assert_eq!(
        scene.session.last_error().map(|error| error.kind),
        Some(Kind::Lost)
    );
}

#[tokio::test(start_paused = true)]
async fn without_reconnect_a_loss_is_only_reported() {
    let plan = Plan {
        reconnect: false,
        ..PLAN
    };
    let scene = connected(plan, 30, Server::Fails(Kind::Refused)).await;
    scene.set(SERVER, secs(120), Server::Up);
    sleep(secs(300)).await;
    assert_eq!(scene.events(), ["connected", "unhealthy", "lost"]);
    assert_eq!(
        (scene.session.state(), scene.count("release")),
        (State::Lost, 1)
    );
    assert_eq!(scene.session.last_error().unwrap().retry_after, None);
    // Whoever wants it back asks for that.
    let again = scene.ask(Wish::of(HEAD, secs(5)).forced()).await.unwrap();
    assert_eq!(again.result, Ok(()));
    assert_eq!(scene.session.state(), State::Connected);
}

#[tokio::test(start_paused = true)]
async fn ray_that_is_not_released_may_still_come_back_as_it_was() {
    let plan = Plan {
        release: Release::Never,
        ..PLAN
    };
    let scene = connected(plan, 30, Server::Silent).await;
    scene.set(SERVER, secs(80), Server::Up);
    scene.until(What::Lost).await;
    assert!(!scene.session.is_connected());
    scene.until(What::Recovered).await;
    assert_eq!(
        (scene.session.state(), scene.session.generation()),
        (State::Connected, 1)
    );
    assert_eq!(
        (scene.session.last_error(), scene.count("release")),
        (None, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_up_waiting() {
    let scene = connected(PLAN, 30, Server::Fails(Kind::Refused)).await;
    scene.set(SERVER, secs(120), Server::Up);
    scene.until(What::Lost).await;
    sleep(secs(10)).await;
    assert_eq!(scene.session.state(), State::Reconnecting);
    assert!(scene.close().await);
    sleep(secs(300)).await;
    assert_eq!(
        (scene.session.state(), scene.session.generation()),
        (State::Idle, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_of_a_healthy_connection_is_nobodys_loss() {
    let scene = connected(PLAN, 3600, Server::Up).await;
    scene.session.gone(Gone::ShutDown);
    sleep(secs(60)).await;
    assert_eq!(scene.events(), ["connected", "shutdown"]);
    assert_eq!(scene.session.state(), State::Idle);
    assert!(scene.count("look") < 2);
}

#[tokio::test(start_paused = true)]
async fn what_ray_gives_up_while_it_is_silent_is_lost_and_made_again() {
    let scene = connected(PLAN, 30, Server::Fails(Kind::Refused)).await;
    scene.set(SERVER, secs(60), Server::Up);
    scene.until(What::Unhealthy).await;
    scene.session.gone(Gone::ShutDown);
    assert_eq!(scene.session.state(), State::Lost);
    scene.until(What::Reconnected).await;
}

#[tokio::test(start_paused = true)]
async fn what_ray_gives_up_before_the_next_check_is_lost_and_made_again() {
    let scene = connected(PLAN, 3600, Server::Up).await;
    scene
        .session
        .gone(Gone::GivenUp(failure(Kind::Lost, SERVER)));
    assert_eq!(scene.session.state(), State::Lost);
    scene.until(What::Reconnected).await;
}

#[tokio::test(start_paused = true)]
async fn a_cause_that_stays_is_told_once_and_tried_on() {
    let scene = connected(PLAN, 30, Server::Fails(Kind::Refused)).await;
    scene.set(SERVER, secs(120), Server::Fails(Kind::Auth));
    scene.set(SERVER, secs(240), Server::Up);
    scene.until(What::Lost).await;
    let told = scene.until(What::Failed).await;
    assert!(told > secs(120) && told < secs(126), "{told:?}");
    let back = scene.until(What::Reconnected).await;
    assert!(back > secs(240) && back < secs(246), "{back:?}");
    assert_eq!(scene.lines.at(Level::ERROR).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_init_that_fails_is_tried_on() {
    let scene = connected(PLAN, 3600, Server::Up).await;
    for _ in 0..3 {
        scene.then_init(Init::Raises { after: secs(1) });
    }
    scene.replaced(secs(30), 1);
    scene.until(What::Reconnected).await;
    assert_eq!(scene.session.generation(), 2);
    // One line for the loss, one for what Ray said.
    assert_eq!(scene.lines.at(Level::ERROR).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_connection_ends_the_wait() {
    let scene = connected(PLAN, 30, Server::Fails(Kind::Refused)).await;
    scene.until(What::Lost).await;
    sleep(SHUTDOWN + secs(1)).await;
    scene.adopt(foreign_to_head());
    assert_eq!(scene.session.state(), State::Connected);
    let before = scene.count(&format!("probe {SERVER}"));
    sleep(secs(60)).await;
    assert_eq!(scene.count(&format!("probe {SERVER}")), before);
}

#[tokio::test(start_paused = true)]
async fn a_dying_ray_is_not_taken_for_somebody_elses_connection() {
    let plan = Plan {
        release: Release::Never,
        ..PLAN
    };
    let scene = connected(plan, 30, Server::Fails(Kind::Refused)).await;
    scene.until(What::Lost).await;
    let _ = scene.session.adopt(connection(foreign()), None);
    assert_eq!(scene.session.state(), State::Lost);
}

#[tokio::test(start_paused = true)]
async fn no_look_while_somebody_connects() {
    let scene = connected(PLAN, 3600, Server::Up).await;
    sleep(secs(1)).await;
    let before = scene.count("look");
    scene.then_init(Init::Connects { after: secs(25) });
    let forced = scene.ask(Wish::of(HEAD, secs(30)).forced());
    sleep(secs(20)).await;
    assert_eq!(scene.count("look"), before);
    assert_eq!(forced.await.unwrap().result, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_good_look_counts_until_the_next_is_overdue() {
    let scene = connected(PLAN, 30, Server::Silent).await;
    assert!(!scene.session.is_fresh());
    sleep(secs(10)).await;
    assert!(scene.session.is_fresh());
    scene.until(What::Unhealthy).await;
    assert!(!scene.session.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_process_ends_the_watch() {
    for state in [secs(1), secs(45), secs(73), secs(90)] {
        let scene = connected(PLAN, 30, Server::Fails(Kind::Refused)).await;
        sleep(state).await;
        scene.session.exit();
        // A release under way ends by itself.
        sleep(SHUTDOWN + millis(1)).await;
        let looks = scene.count("look") + scene.count(&format!("probe {SERVER}"));
        sleep(secs(60)).await;
        let later = scene.count("look") + scene.count(&format!("probe {SERVER}"));
        assert_eq!(looks, later, "after {state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_notices_later_for_a_long_interval() {
    let plan = Plan {
        interval: Duration::from_secs(300),
        misses: 100,
        ..PLAN
    };
    let scene = connected(plan, 30, Server::Silent).await;
    let lost = scene.until(What::Lost).await;
    assert!(lost + SHUTDOWN < secs(30) + DEADLINE, "{lost:?}");
}
