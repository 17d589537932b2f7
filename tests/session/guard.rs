//! Calls that wait for the GCS: asked for first, waited with, ended by a loss.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedcore_ray::error::{ConnectError, Kind};
use seedcore_ray::guard::{Caller, Guard, Line};
use seedcore_ray::preflight::BoxFuture;
use seedcore_ray::probe::{Question, Rows};
use seedcore_ray::session::State;
use tokio::time::{Instant, sleep, timeout};

use crate::scene::{HEAD, PROBE, Scene, Server, secs};

const SERVER: &str = "head:10001";
const GRACE: Duration = secs(40);

/// A GCS that answers from some moment on, after a while.
#[derive(Clone)]
struct Gcs {
    answers_from: Instant,
    takes: Duration,
    asked: Arc<Mutex<Vec<Duration>>>,
}

impl Line for Gcs {
    fn ask(&self, _: Question, bound: Duration) -> BoxFuture<'_, Result<Rows, ConnectError>> {
        self.asked.lock().unwrap().push(bound);
        Box::pin(async move {
            let answer = async {
                if Instant::now() < self.answers_from {
                    std::future::pending::<()>().await;
                }
                sleep(self.takes).await;
            };
            timeout(bound, answer)
                .await
                .map(|()| vec![b"row".to_vec()])
                .map_err(|_| ConnectError::new(Kind::Timeout, HEAD, "no answer", "look"))
        })
    }
}

/// A guard of the connection that `scene` watches, in front of a GCS like that.
async fn guarded(scene: &Arc<Scene>, silent: Duration, takes: Duration) -> (Guard, Gcs) {
    scene.watch(seedcore_ray::health::Plan::every(secs(5)));
    scene.up(SERVER);
    scene.connected(HEAD).await;
    let gcs = Gcs {
        answers_from: Instant::now() + silent,
        takes,
        asked: Arc::default(),
    };
    let watch = scene.current_watch();
    (Guard::new(watch, Box::new(gcs.clone()), PROBE, GRACE), gcs)
}

async fn ask(scene: &Scene, guard: &Guard, caller: Caller) -> (Result<bool, Kind>, Duration) {
    let began = Instant::now();
    let answer = guard.ask(&scene.session, Question::Alive, caller).await;
    let answer = answer
        .map(|rows| rows.is_some())
        .map_err(|error| error.kind);
    (answer, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn an_answer_lets_the_call_pass_at_once() {
    let scene = Scene::new();
    let (guard, gcs) = guarded(&scene, secs(0), secs(0)).await;
    for caller in [Caller::Thread, Caller::EventLoop] {
        let (answer, took) = ask(&scene, &guard, caller).await;
        assert_eq!((answer, took < secs(1)), (Ok(true), true));
    }
    assert_eq!(gcs.asked.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_gcs_is_waited_for() {
    let scene = Scene::new();
    let (guard, _) = guarded(&scene, secs(0), secs(8)).await;
    let (answer, took) = ask(&scene, &guard, Caller::Thread).await;
    assert_eq!(answer, Ok(true));
    assert!(took < secs(30), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gcs_that_is_back_in_time_lets_the_call_pass() {
    let scene = Scene::new();
    let (guard, _) = guarded(&scene, secs(20), secs(0)).await;
    let (answer, took) = ask(&scene, &guard, Caller::Thread).await;
    assert_eq!(answer, Ok(true));
    assert!(took >= secs(20) && took <= secs(31), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_loss_ends_the_call() {
    let scene = Scene::new();
    let (guard, _) = guarded(&scene, secs(1000), secs(0)).await;
    scene.set(SERVER, secs(0), Server::Fails(Kind::Refused));
    let (answer, took) = ask(&scene, &guard, Caller::Thread).await;
    assert_eq!(answer, Err(Kind::Lost));
    assert!(took < GRACE + secs(10), "{took:?}");
    // Released, and not back yet.
    sleep(secs(30)).await;
    let (answer, took) = ask(&scene, &guard, Caller::Thread).await;
    assert_eq!((answer, took), (Err(Kind::Lost), secs(0)));
}

#[tokio::test(start_paused = true)]
async fn it_never_waits_for_ever() {
    let scene = Scene::new();
    // The monitor's own channel gets answers, this one none.
    let (guard, _) = guarded(&scene, secs(1000), secs(0)).await;
    let (answer, took) = ask(&scene, &guard, Caller::Thread).await;
    assert_eq!(answer, Err(Kind::Timeout));
    assert!(took > GRACE && took < GRACE * 2, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_loop_waits_little_and_not_at_all_once_it_is_unhealthy() {
    let scene = Scene::new();
    let (guard, _) = guarded(&scene, secs(1000), secs(0)).await;
    let (answer, took) = ask(&scene, &guard, Caller::EventLoop).await;
    assert_eq!(answer, Err(Kind::Timeout));
    assert!(took >= secs(5) && took < secs(6), "{took:?}");
    scene.set(SERVER, secs(0), Server::Fails(Kind::Refused));
    while scene.session.state() != State::Unhealthy {
        sleep(secs(1)).await;
    }
    let (answer, took) = ask(&scene, &guard, Caller::EventLoop).await;
    assert_eq!(answer, Err(Kind::Timeout));
    assert!(took < secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_given_up_is_rays_own_business() {
    let scene = Scene::new();
    let (guard, gcs) = guarded(&scene, secs(1000), secs(0)).await;
    scene.session.set_watch(None);
    let (answer, took) = ask(&scene, &guard, Caller::Thread).await;
    assert_eq!((answer, took), (Ok(false), secs(0)));
    assert_eq!(gcs.asked.lock().unwrap().len(), 0);
}
