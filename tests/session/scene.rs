//! A network, a Ray and callers that do as they are told.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use seedcore_ray::address::{HostPort, RayAddress};
use seedcore_ray::config::{Env, Settings};
use seedcore_ray::connect::{self, Driver, Next, Outcome, RayState, Request, Step};
use seedcore_ray::error::{ConnectError, Kind};
use seedcore_ray::events::What;
use seedcore_ray::flight::{ConnectOptions, Flight, Patience, Waiter};
use seedcore_ray::health::{CheckResult, HealthCheck, Plan, RaysPatience, Watch, grace};
use seedcore_ray::monitor::{Monitor, MonitorEvent, Order, Setup};
use seedcore_ray::preflight::{BoxFuture, Network, Passed, ProbePlan};
use seedcore_ray::probe::local::{LocalRay, LocalSource};
use seedcore_ray::probe::version::Local;
use seedcore_ray::probe::{Credentials, Facts, LocalNode, RayPort, Report, Timeouts};
use seedcore_ray::session::{
    Binding, Connection, ConnectionInfo, Gone, Joined, Mode, RayCluster, Session, ShutdownStep,
};
use seedcore_ray::target::{Source, Target};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Bound of one probe, as by default.
pub const PROBE: Duration = secs(2);

/// Bound of `ray.init`, as by default.
pub const INIT: Duration = secs(30);

/// Ray's own deadline, as by default.
pub const DEADLINE: Duration = secs(60);

/// What `ray.shutdown()` takes on a dead cluster.
pub const SHUTDOWN: Duration = secs(5);

/// What a caller may wait beyond its deadline, for the flight to land.
pub const GRACE: Duration = millis(250);

pub const HEAD: &str = "ray://head:10001";
pub const OTHER: &str = "ray://other:10001";

pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What a server does with a look at it.
#[derive(Clone, Copy, Debug)]
pub enum Server {
    Up,
    Fails(Kind),
    /// Takes the connection and says nothing.
    Silent,
    /// Answers after that long.
    Slow(Duration),
    /// Answers, but the raylet of this node has ended.
    WithoutRaylet,
    /// Answers, and the raylet of this node is starting.
    RayletStarting,
}

/// What `ray.init` does.
#[derive(Clone, Copy, Debug)]
pub enum Init {
    Connects { after: Duration },
    Raises { after: Duration },
}

/// Something that happened, with milliseconds since the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    pub at: u64,
    pub what: String,
}

#[derive(Default)]
struct Script {
    /// What the session knows the last monitor by.
    watch: Option<Arc<Watch>>,
    /// What each server is, from when on.
    servers: BTreeMap<String, Vec<(Duration, Server)>>,
    local: Option<String>,
    /// Which cluster answers, from when on.
    clusters: Vec<(Duration, u32)>,
    /// When a proxy closes idle connections.
    closes: Vec<Duration>,
    /// How connections are watched; not at all where nothing is said.
    plan: Option<Plan>,
    inits: VecDeque<Init>,
    running_inits: u32,
    most_inits_at_once: u32,
    ray_is_up: bool,
    happened: Vec<Happened>,
}

/// Everything outside of the session.
pub struct Scene {
    pub session: Arc<Session>,
    pub lines: Arc<Lines>,
    began: Instant,
    script: Mutex<Script>,
    fallbacks: Vec<RayAddress>,
    standbys: Vec<RayAddress>,
    _logging: DefaultGuard,
}

/// What a caller asks for.
#[derive(Clone, Copy)]
pub struct Wish {
    pub address: &'static str,
    pub timeout: Duration,
    pub force: bool,
    pub wait_for_local: bool,
}

impl Wish {
    pub const fn of(address: &'static str, timeout: Duration) -> Self {
        Self {
            address,
            timeout,
            force: false,
            wait_for_local: false,
        }
    }

    pub const fn forced(self) -> Self {
        Self {
            force: true,
            ..self
        }
    }

    pub const fn wait_for_local(self) -> Self {
        Self {
            wait_for_local: true,
            ..self
        }
    }
}

/// A caller's answer, and when it had it.
#[derive(Debug)]
pub struct Answer {
    pub result: Result<(), ConnectError>,
    pub took: Duration,
}

impl Answer {
    pub fn kind(&self) -> Option<Kind> {
        self.result.as_ref().err().map(|error| error.kind)
    }
}

impl Scene {
    pub fn new() -> Arc<Self> {
        Self::with_others(&[], &[])
    }

    pub fn with_fallbacks(fallbacks: &[&str]) -> Arc<Self> {
        Self::with_others(fallbacks, &[])
    }

    pub fn with_others(fallbacks: &[&str], standbys: &[&str]) -> Arc<Self> {
        let addresses = |texts: &[&str]| texts.iter().map(|text| address(text)).collect();
        let lines = Arc::new(Lines::default());
        let subscriber = tracing_subscriber::registry().with(Listener(Arc::clone(&lines)));
        Arc::new(Self {
            session: Arc::default(),
            lines,
            began: Instant::now(),
            script: Mutex::default(),
            fallbacks: addresses(fallbacks),
            standbys: addresses(standbys),
            _logging: tracing::subscriber::set_default(subscriber),
        })
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// From `from` after the beginning, `server` (`host:port`) is like this. Unheard-of servers
    /// refuse.
    pub fn set(&self, server: &str, from: Duration, is: Server) {
        let mut script = self.script();
        let times = script.servers.entry(server.to_owned()).or_default();
        times.push((from, is));
        times.sort_by_key(|&(from, _)| from);
    }

    pub fn up(&self, server: &str) {
        self.set(server, Duration::ZERO, Server::Up);
    }

    /// From `from` after the beginning, another cluster answers.
    pub fn replaced(&self, from: Duration, cluster: u32) {
        self.script().clusters.push((from, cluster));
    }

    /// Ray's own thread has trouble with the connection.
    pub fn look_now(&self) {
        self.script().watch.as_ref().unwrap().look_now();
    }

    /// A proxy closes idle connections then.
    pub fn closes(&self, at: Duration) {
        self.script().closes.push(at);
    }

    /// When the connection to `server` that was open at `from` is closed.
    fn closed_after(&self, server: &HostPort, from: Duration) -> Option<Duration> {
        let script = self.script();
        let times = script.servers.get(&server.to_string());
        let ends = times
            .into_iter()
            .flatten()
            .filter(|(_, is)| matches!(is, Server::Fails(Kind::Refused) | Server::WithoutRaylet));
        let ends = ends.map(|&(at, _)| at).chain(script.closes.iter().copied());
        ends.filter(|&at| at > from).min()
    }

    fn cluster(&self) -> u32 {
        let now = self.at();
        let script = self.script();
        let current = script.clusters.iter().rfind(|&&(from, _)| from <= now);
        current.map_or(0, |&(_, cluster)| cluster)
    }

    /// Connections are watched from now on, as those of native drivers.
    pub fn watch(&self, plan: Plan) {
        self.script().plan = Some(plan);
    }

    /// What the session knows the last monitor by.
    pub fn current_watch(&self) -> Arc<Watch> {
        self.script().watch.clone().expect("nothing is watched")
    }

    /// What callbacks would have been told so far.
    pub fn events(&self) -> Vec<&'static str> {
        let events = self.session.take_events();
        events
            .into_iter()
            .map(|event| event.what.as_str())
            .collect()
    }

    /// Waits until `what` has happened to the session, and says when.
    pub async fn until(&self, what: What) -> Duration {
        loop {
            let events = self.session.take_events();
            if events.iter().any(|event| event.what == what) {
                return self.at();
            }
            assert!(self.at() < secs(3600), "{what:?} did not happen");
            sleep(millis(1)).await;
        }
    }

    /// The Ray that `auto` finds.
    pub fn set_local(&self, server: Option<&str>) {
        self.script().local = server.map(str::to_owned);
    }

    /// The next `ray.init`; it takes 10 ms where nothing was said.
    pub fn then_init(&self, init: Init) {
        self.script().inits.push_back(init);
    }

    pub fn at(&self) -> Duration {
        self.began.elapsed()
    }

    fn note(&self, what: impl Into<String>) {
        let at = u64::try_from(self.at().as_millis()).unwrap();
        let what = what.into();
        self.script().happened.push(Happened { at, what });
    }

    /// When that happened, in milliseconds.
    pub fn times_of(&self, what: &str) -> Vec<u64> {
        let script = self.script();
        let same = script.happened.iter().filter(|h| h.what == what);
        same.map(|h| h.at).collect()
    }

    pub fn count(&self, what: &str) -> usize {
        self.times_of(what).len()
    }

    pub fn most_inits_at_once(&self) -> u32 {
        self.script().most_inits_at_once
    }

    pub fn ray_is_up(&self) -> bool {
        self.script().ray_is_up
    }

    fn server(&self, server: &HostPort) -> Server {
        let now = self.at();
        let script = self.script();
        let times = script.servers.get(&server.to_string());
        let current = times.and_then(|times| times.iter().rfind(|&&(from, _)| from <= now));
        current.map_or(Server::Fails(Kind::Refused), |&(_, is)| is)
    }

    pub fn flight(self: &Arc<Self>, wish: Wish) -> Arc<Flight> {
        let scene = Arc::clone(self);
        let probe_plan = ProbePlan {
            target: target(wish.address),
            fallbacks: self.fallbacks.clone(),
            standbys: Vec::new(),
            find_local: Arc::new(move || scene.find_local()),
            credentials: Credentials::default(),
            local_credentials: Credentials::default(),
            probe_timeout: PROBE,
        }
        .with_standbys(&self.standbys);
        let options = ConnectOptions {
            init_timeout: INIT,
            force: wish.force,
            setup: None,
        };
        let network: Arc<dyn Network> = Arc::new(Wires(Arc::clone(self)));
        let metrics = Arc::clone(&self.session.metrics);
        Flight::new(probe_plan, options, network, metrics)
    }

    /// A flight to [`HEAD`] that nobody carries out yet, and the waiter of the caller who leads it.
    pub fn lead(self: &Arc<Self>, timeout: Duration) -> (Arc<Flight>, Waiter) {
        let flight = self.flight(Wish::of(HEAD, timeout));
        match self.join(&flight, timeout) {
            Joined::Lead(waiter) => (flight, waiter),
            _ => panic!("nobody else leads"),
        }
    }

    /// What [`Session::join`] answers a caller that would carry out `flight`.
    pub fn join(&self, flight: &Arc<Flight>, timeout: Duration) -> Joined {
        let own = Arc::clone(flight);
        let target = &flight.probe_plan.target;
        self.session
            .join(target, flight.options.force, Patience::of(timeout), || own)
    }

    fn find_local(&self) -> Result<LocalRay, ConnectError> {
        match &self.script().local {
            Some(server) => Ok(LocalRay {
                address: address(server).host_port().unwrap().clone(),
                source: LocalSource::Process,
                ambiguous: false,
            }),
            None => Err(failure(Kind::NoLocalRay, "auto")),
        }
    }

    /// A caller on a task of its own.
    pub fn ask(self: &Arc<Self>, wish: Wish) -> JoinHandle<Answer> {
        let scene = Arc::clone(self);
        // The deadline counts from the call, not from when the task comes to run.
        let began = Instant::now();
        let request = self.request(wish);
        tokio::spawn(async move {
            let result = scene.connect(wish, request).await;
            let took = began.elapsed();
            Answer { result, took }
        })
    }

    /// Without a breaker, whose times are random; its own tests have it.
    fn request(&self, wish: Wish) -> Arc<Request> {
        let settings = Settings {
            breaker_reset: Duration::ZERO,
            ..settings()
        };
        let wanted = connect::Wish {
            force: wish.force,
            timeout: Some(wish.timeout),
            wait_for_local: wish.wait_for_local,
            blocks_loop: false,
            setup: None,
        };
        let request = Request::new(&self.session, target(wish.address), wanted, &settings);
        Arc::new(request.expect("no breaker turns it away"))
    }

    async fn connect(
        self: &Arc<Self>,
        wish: Wish,
        request: Arc<Request>,
    ) -> Result<(), ConnectError> {
        loop {
            let launch = |flight: &Arc<Flight>| {
                tokio::spawn(Arc::clone(self).fly(Arc::clone(flight)));
                Ok::<(), Infallible>(())
            };
            let Ok(next) = request.next(|| self.flight(wish), launch);
            let outcome = match next {
                Next::Done(result) => return result,
                Next::Wait(outcome) => outcome.await,
            };
            match outcome {
                Outcome::Connected => return Ok(()),
                Outcome::Failed(cause) => return Err(cause),
                Outcome::Again => {}
            }
        }
    }

    /// Does to the scripted Ray what the driver says.
    pub async fn fly(self: Arc<Self>, flight: Arc<Flight>) {
        let mut driver = Driver::new(Arc::clone(&self.session), Arc::clone(&flight));
        let mut step = Step::Probe;
        loop {
            step = match step {
                Step::Probe => driver.probe().await,
                Step::Import => driver.imported(&local(), self.ray_state()),
                Step::Adopt => driver.adopted(connection(foreign())),
                Step::Shutdown => {
                    if self.ray_is_up() {
                        self.shut_down();
                    }
                    driver.shut_down()
                }
                Step::Init => {
                    let passed = driver.passed().expect("the preflight has passed").clone();
                    match self.init(&passed).await {
                        Err(cause) => driver.init_failed(cause),
                        Ok(()) => self.arrive(&mut driver, &passed),
                    }
                }
                Step::Finish => return driver.finish(),
            }
        }
    }

    fn ray_state(&self) -> RayState {
        RayState {
            is_connected: self.ray_is_up(),
            has_remains: false,
        }
    }

    fn arrive(self: &Arc<Self>, driver: &mut Driver, passed: &Passed) -> Step {
        let monitor = self.new_monitor(passed);
        let watch = monitor.as_ref().map(|monitor| Arc::clone(monitor.watch()));
        self.script().watch.clone_from(&watch);
        let made = connection(info(driver.flight(), passed));
        let step = driver.initialised(made, watch);
        if let Some(monitor) = monitor.filter(|_| step == Step::Finish) {
            tokio::spawn(Arc::clone(self).keep(monitor));
        }
        step
    }

    fn new_monitor(self: &Arc<Self>, passed: &Passed) -> Option<Monitor> {
        let plan = self.script().plan?;
        let server = passed.address.host_port()?.clone();
        let setup = Setup {
            plan,
            probe_timeout: PROBE,
            grace: grace(None, RaysPatience::Native(DEADLINE)),
            deadline: Some(DEADLINE),
        };
        let check = Check {
            scene: Arc::clone(self),
            server,
            cluster: self.cluster(),
            opened: Mutex::new(None),
        };
        let random = fastrand::Rng::with_seed(7);
        Some(Monitor::new(setup, Box::new(check), random))
    }

    /// Does to the scripted Ray what the monitor says.
    async fn keep(self: Arc<Self>, monitor: Monitor) {
        let network: Arc<dyn Network> = Arc::new(Wires(Arc::clone(&self)));
        loop {
            let awaits = monitor.awaits_cluster(&self.session);
            let plan = awaits.then(|| self.flight(Wish::of(HEAD, secs(0))).probe_plan.clone());
            let event: MonitorEvent = monitor.next(&self.session, &network, plan.as_ref()).await;
            match monitor.apply(&self.session, &event, || {
                (!self.ray_is_up()).then_some(Gone::ShutDown)
            }) {
                Order::Stop => return,
                Order::Release => self.release(&monitor).await,
                Order::Reconnect => {
                    let wish = Wish::of(HEAD, Duration::ZERO);
                    let _ = self.connect(wish, self.request(wish)).await;
                }
                Order::Wait | Order::RunTask => {}
            }
        }
    }

    async fn release(&self, monitor: &Monitor) {
        let begins = self
            .session
            .monitored(monitor.watch())
            .is_some_and(|mut monitored| monitored.begin_release());
        if begins {
            self.note("release");
            sleep(SHUTDOWN).await;
            self.script().ray_is_up = false;
            self.session.closed(Some(monitor.watch()));
        }
    }

    async fn init(&self, passed: &Passed) -> Result<(), ConnectError> {
        let shown = passed.init_address.to_string();
        self.note(format!("init {shown}"));
        let init = {
            let mut script = self.script();
            script.running_inits += 1;
            script.most_inits_at_once = script.most_inits_at_once.max(script.running_inits);
            script.inits.pop_front()
        };
        let init = init.unwrap_or(Init::Connects { after: millis(10) });
        let result = match init {
            Init::Connects { after } => {
                sleep(after).await;
                Ok(())
            }
            Init::Raises { after } => {
                sleep(after).await;
                Err(failure(Kind::InitFailed, &shown))
            }
        };
        let mut script = self.script();
        script.running_inits -= 1;
        script.ray_is_up |= result.is_ok();
        result
    }

    pub fn shut_down(&self) {
        self.note("shutdown");
        self.script().ray_is_up = false;
    }

    /// `shutdown_ray()`; true when nothing is left to wait for.
    pub async fn close(&self) -> bool {
        let shutdown = self.session.shutdown();
        loop {
            match shutdown.next(self.ray_is_up()) {
                ShutdownStep::Nothing | ShutdownStep::OnArrival => return true,
                ShutdownStep::Run => {
                    self.shut_down();
                    self.session.closed(None);
                    return true;
                }
                ShutdownStep::Wait(is_over) => {
                    if !is_over.await {
                        return false;
                    }
                }
            }
        }
    }

    /// The next step of a `shutdown_ray()` that begins now, by name.
    pub fn shutdown_step(&self, ray_is_up: bool) -> &'static str {
        match self.session.shutdown().next(ray_is_up) {
            ShutdownStep::Nothing => "nothing",
            ShutdownStep::OnArrival => "on arrival",
            ShutdownStep::Run => "run",
            ShutdownStep::Wait(_) => "wait",
        }
    }

    /// Somebody else connects.
    pub fn adopt(&self, info: ConnectionInfo) {
        self.script().ray_is_up = true;
        let _ = self.session.adopt(connection(info), None);
    }

    /// Ray is shut down behind our back, and that is noticed.
    pub fn lose(&self) {
        self.script().ray_is_up = false;
        self.session.gone(Gone::ShutDown);
    }

    /// From now on `ray.init` takes 10 ms again.
    pub fn forget_inits(&self) {
        self.script().inits.clear();
    }

    /// One caller, connected.
    pub async fn connected(self: &Arc<Self>, to: &'static str) {
        let answer = self.ask(Wish::of(to, secs(30))).await.unwrap();
        assert_eq!(answer.result, Ok(()));
    }
}

/// The control plane of a connection.
struct Check {
    scene: Arc<Scene>,
    server: HostPort,
    cluster: u32,
    /// Since when there is a connection.
    opened: Mutex<Option<Duration>>,
}

impl HealthCheck for Check {
    fn check(&self, timeout: Duration) -> BoxFuture<'_, CheckResult> {
        Box::pin(async move {
            self.scene.note("look");
            let shown = self.server.to_string();
            let is = self.scene.server(&self.server);
            *self.opened.lock().unwrap() = matches!(is, Server::Up).then(|| self.scene.at());
            match look(is, &self.server, timeout).await {
                Err(cause) => CheckResult::NoAnswer(cause),
                Ok(()) if matches!(is, Server::WithoutRaylet) => {
                    CheckResult::Broken(failure(Kind::NotReady, &shown))
                }
                Ok(()) if self.scene.cluster() != self.cluster => {
                    CheckResult::Replaced(failure(Kind::Lost, &shown))
                }
                Ok(()) => CheckResult::Answered,
            }
        })
    }

    fn news(&self) -> BoxFuture<'_, ()> {
        let opened = *self.opened.lock().unwrap();
        let closed = opened.and_then(|from| self.scene.closed_after(&self.server, from));
        Box::pin(async move {
            match closed {
                Some(at) => sleep(at.saturating_sub(self.scene.at())).await,
                None => std::future::pending().await,
            }
        })
    }
}

/// The scene as a network.
struct Wires(Arc<Scene>);

impl Network for Wires {
    fn probe<'a>(
        &'a self,
        server: &'a HostPort,
        _: RayPort,
        _: &'a Credentials,
        timeouts: Timeouts,
    ) -> BoxFuture<'a, Report> {
        Box::pin(async move {
            self.0.note(format!("probe {server}"));
            let result = look(self.0.server(server), server, timeouts.answer).await;
            Report {
                steps: Vec::new(),
                result: result.map(|()| Facts::default()),
            }
        })
    }

    fn poke<'a>(&'a self, probe_plan: &'a ProbePlan) -> BoxFuture<'a, Result<(), ConnectError>> {
        let timeout = probe_plan.probe_timeout;
        Box::pin(async move {
            let server = probe_plan.target.address.host_port().unwrap();
            self.0.note(format!("poke {server}"));
            match self.0.server(server) {
                is @ (Server::Slow(_)
                | Server::Fails(Kind::Refused | Kind::Unreachable | Kind::Dns)) => {
                    look(is, server, timeout).await
                }
                // Nobody has to speak, let alone to speak Ray, for a port to be open.
                _ => Ok(()),
            }
        })
    }

    fn local_node<'a>(&'a self, _: &'a ProbePlan, passed: &'a Passed) -> BoxFuture<'a, LocalNode> {
        let server = passed
            .address
            .host_port()
            .map(|server| self.0.server(server));
        Box::pin(async move {
            match server {
                Some(Server::WithoutRaylet) => LocalNode::Elsewhere(vec!["10.0.0.1".into()]),
                Some(Server::RayletStarting) => LocalNode::Starting,
                _ => LocalNode::Unknown,
            }
        })
    }
}

async fn look(is: Server, server: &HostPort, timeout: Duration) -> Result<(), ConnectError> {
    let shown = server.to_string();
    let silent = || Err(failure(Kind::Timeout, &shown));
    match is {
        Server::Up | Server::WithoutRaylet | Server::RayletStarting => Ok(()),
        Server::Fails(kind) => Err(failure(kind, &shown)),
        Server::Slow(after) if after < timeout => {
            sleep(after).await;
            Ok(())
        }
        Server::Slow(_) | Server::Silent => {
            sleep(timeout).await;
            silent()
        }
    }
}

pub fn failure(kind: Kind, address: &str) -> ConnectError {
    ConnectError::new(kind, address, format!("{address}: {kind}"), "try a hint")
}

pub fn address(text: &str) -> RayAddress {
    RayAddress::parse(text).unwrap()
}

pub fn target(text: &str) -> Target {
    Target {
        address: address(text),
        address_source: Source::Argument,
        namespace: Some("ns".into()),
        namespace_source: Source::Default,
    }
}

fn info(flight: &Flight, passed: &Passed) -> ConnectionInfo {
    ConnectionInfo {
        target: Some(flight.probe_plan.target.clone()),
        address: passed.address.to_string(),
        namespace: flight.probe_plan.target.namespace.clone(),
        mode: Mode::Client,
        since: SystemTime::now(),
        facts: passed.facts.clone(),
        ray: RayCluster::default(),
        took: flight.began.elapsed(),
        instead_of: passed.instead_of.clone(),
    }
}

/// What the language side keeps: nothing.
struct NoBinding;

impl Binding for NoBinding {
    fn unhealthy(&self, _is_broken: bool) {}

    fn answered(&self) {}

    fn held(self: Arc<Self>) {}
    fn released(&self) {}
}

pub fn connection(info: ConnectionInfo) -> Connection {
    Connection {
        info,
        binding: Arc::new(NoBinding),
    }
}

/// The versions here, which the scripted cluster never contradicts.
fn local() -> Local {
    Local {
        ray: "2.60.0".into(),
        python: "3.11.7".into(),
        match_level: None,
    }
}

/// The defaults.
pub fn settings() -> Settings {
    let (settings, bad) = Settings::from_env(&Env::Snapshot(BTreeMap::new()));
    assert!(bad.is_empty());
    settings
}

/// A connection to [`HEAD`] that somebody else made.
pub fn foreign_to_head() -> ConnectionInfo {
    ConnectionInfo {
        address: HEAD.into(),
        ..foreign()
    }
}

/// A connection that somebody else made, to a cluster that nobody else asks for.
pub fn foreign() -> ConnectionInfo {
    ConnectionInfo {
        target: None,
        address: "10.0.0.1:6379".into(),
        namespace: None,
        mode: Mode::Adopted,
        since: SystemTime::now(),
        facts: Facts::default(),
        ray: RayCluster::default(),
        took: Duration::ZERO,
        instead_of: None,
    }
}

/// The log lines of this thread, where all tasks of a test run.
#[derive(Default)]
pub struct Lines(Mutex<Vec<(Level, String)>>);

impl Lines {
    pub fn at(&self, level: Level) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let same = lines.iter().filter(|line| line.0 == level);
        same.map(|line| line.1.clone()).collect()
    }

    /// How many warnings, and how many errors.
    pub fn warnings_and_errors(&self) -> (usize, usize) {
        (self.at(Level::WARN).len(), self.at(Level::ERROR).len())
    }
}

struct Listener(Arc<Lines>);

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        let mut lines = self.0.0.lock().unwrap();
        lines.push((*event.metadata().level(), message.0));
    }
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            write!(self.0, "{value:?}").unwrap();
        }
    }
}
