//! Thousands of services lose one head together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use seedcore_ray::address::HostPort;
use seedcore_ray::error::{ConnectError, Kind};
use seedcore_ray::health::{CheckResult, HealthCheck, Plan};
use seedcore_ray::monitor::{Monitor, Order, Setup};
use seedcore_ray::preflight::{BoxFuture, Network, Passed, ProbePlan};
use seedcore_ray::probe::{Credentials, Facts, LocalNode, RayPort, Report, Timeouts};
use seedcore_ray::session::Session;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::scene::{DEADLINE, HEAD, PROBE, SHUTDOWN, connection, failure, foreign, secs, target};

/// `make soak` has ten thousand.
fn how_many() -> u64 {
    let services = std::env::var("STORM_SERVICES").ok();
    services.map_or(2_000, |text| text.parse().unwrap())
}

/// They were all started together, this long before.
const LOSS: Duration = secs(20);
const RETURN: Duration = secs(110);

/// The head, and who knocks when.
struct Head {
    began: Instant,
    knocks: Vec<AtomicU32>,
    last: AtomicU64,
}

impl Head {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            knocks: (0..200).map(|_| AtomicU32::new(0)).collect(),
            last: AtomicU64::new(0),
        })
    }

    /// A connect attempt.
    fn knock(&self) -> Result<(), ConnectError> {
        let at = self.began.elapsed();
        let second = usize::try_from(at.as_secs()).unwrap();
        self.knocks[second].fetch_add(1, Ordering::Relaxed);
        if (LOSS..RETURN).contains(&at) {
            return Err(failure(Kind::Refused, HEAD));
        }
        Ok(())
    }

    fn connected(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap();
        self.last.fetch_max(millis, Ordering::Relaxed);
    }

    /// The busiest second over the mean, in the first minute without the head.
    fn peak(&self) -> f64 {
        let minute: Vec<f64> = self.knocks[20..80]
            .iter()
            .map(|knocks| f64::from(knocks.load(Ordering::Relaxed)))
            .collect();
        let mean = minute.iter().sum::<f64>() / 60.0;
        minute.into_iter().fold(0.0, f64::max) / mean
    }

    /// From the head's return until the last service had it.
    fn all_back_after(&self) -> Duration {
        Duration::from_millis(self.last.load(Ordering::Relaxed)).saturating_sub(RETURN)
    }
}

struct Knocks(Arc<Head>);

impl HealthCheck for Knocks {
    fn check(&self, _: Duration) -> BoxFuture<'_, CheckResult> {
        Box::pin(async {
            self.0
                .knock()
                .map_or_else(CheckResult::NoAnswer, |()| CheckResult::Answered)
        })
    }

    /// All of them see the same head die at the same instant.
    fn news(&self) -> BoxFuture<'_, ()> {
        let left = LOSS.checked_sub(self.0.began.elapsed());
        Box::pin(async move {
            match left {
                Some(left) => sleep(left).await,
                None => std::future::pending().await,
            }
        })
    }
}

impl Network for Knocks {
    fn probe<'a>(
        &'a self,
        _: &'a HostPort,
        _: RayPort,
        _: &'a Credentials,
        _: Timeouts,
    ) -> BoxFuture<'a, Report> {
        Box::pin(async {
            Report {
                steps: Vec::new(),
                result: self.0.knock().map(|()| Facts::default()),
            }
        })
    }

    fn poke<'a>(&'a self, _: &'a ProbePlan) -> BoxFuture<'a, Result<(), ConnectError>> {
        Box::pin(async { self.0.knock() })
    }

    fn local_node<'a>(&'a self, _: &'a ProbePlan, _: &'a Passed) -> BoxFuture<'a, LocalNode> {
        Box::pin(std::future::ready(LocalNode::Unknown))
    }
}

/// One service with our monitor.
async fn ours(head: Arc<Head>, seed: u64) {
    let setup = Setup {
        plan: Plan::every(secs(5)),
        probe_timeout: PROBE,
        grace: secs(40),
        deadline: Some(DEADLINE),
    };
    let session = Session::default();
    let _ = session.adopt(connection(foreign()), None);
    let check = Box::new(Knocks(Arc::clone(&head)));
    let monitor = Monitor::new(setup, check, Rng::with_seed(seed));
    session.set_watch(Some(Arc::clone(monitor.watch())));
    let network: Arc<dyn Network> = Arc::new(Knocks(Arc::clone(&head)));
    let probe_plan = probe_plan();
    loop {
        let plan = monitor.awaits_cluster(&session).then_some(&probe_plan);
        let event = monitor.next(&session, &network, plan).await;
        match monitor.apply(&session, &event, || None) {
            Order::Reconnect | Order::Stop => return head.connected(),
            Order::Release => {
                let begins = session.monitored(monitor.watch()).unwrap().begin_release();
                assert!(begins);
                sleep(SHUTDOWN).await;
                session.closed(Some(monitor.watch()));
            }
            Order::Wait | Order::RunTask => {}
        }
    }
}

fn probe_plan() -> ProbePlan {
    ProbePlan {
        target: target(HEAD),
        fallbacks: Vec::new(),
        standbys: Vec::new(),
        find_local: Arc::new(|| Err(failure(Kind::NoLocalRay, "auto"))),
        credentials: Credentials::default(),
        local_credentials: Credentials::default(),
        probe_timeout: PROBE,
    }
}

/// One service with a loop that looks every five seconds, since all were started.
async fn fixed(head: Arc<Head>, _: u64) {
    let mut lost = false;
    loop {
        sleep(secs(5)).await;
        match head.knock() {
            Err(_) => lost = true,
            Ok(()) if lost => return head.connected(),
            Ok(()) => {}
        }
    }
}

async fn storm<F: Future<Output = ()> + Send + 'static>(
    service: impl Fn(Arc<Head>, u64) -> F,
) -> Arc<Head> {
    let head = Head::new();
    let mut services = JoinSet::new();
    for seed in 0..how_many() {
        services.spawn(service(Arc::clone(&head), seed));
    }
    services.join_all().await;
    head
}

#[tokio::test(start_paused = true)]
async fn they_come_back_spread_out_and_soon() {
    let ours = storm(ours).await;
    let fixed = storm(fixed).await;
    println!(
        "busiest second over the mean: {:.1}, all back after {:?}; every 5 s: {:.1}, {:?}",
        ours.peak(),
        ours.all_back_after(),
        fixed.peak(),
        fixed.all_back_after(),
    );
    assert!(ours.peak() < 3.0, "{}", ours.peak());
    assert!(
        ours.all_back_after() <= secs(60),
        "{:?}",
        ours.all_back_after()
    );
    assert!(fixed.peak() > ours.peak());
}
