//! A pool whose connections are made by the test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seedcore_ray::config::Env;
use seedcore_ray::error::{ConnectError, Kind};
use seedcore_ray::health::{Change, Plan, Watch};
use seedcore_ray::pool::{Lease, LendError, Lending, Limits, Member, Order, Pool, Waiter};
use seedcore_ray::probe::Facts;
use seedcore_ray::session::{Binding, Connection, ConnectionInfo, Mode, RayCluster, Session};
use seedcore_ray::target::{NamespaceArg, Target};
use tokio::time::{Instant, timeout};

pub const HEAD: &str = "ray://head:10001";

pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn limits(min_size: usize, max_size: usize) -> Limits {
    Limits {
        min_size,
        max_size,
        max_waiting: 0,
        max_idle: secs(600),
    }
}

pub struct Scene {
    pub process: Arc<Session>,
    pub pool: Arc<Pool>,
}

impl Scene {
    /// A pool that is open.
    pub fn new(limits: Limits) -> Self {
        let process = Arc::<Session>::default();
        let pool = Pool::new("main", target(), limits, &process);
        assert!(pool.open().unwrap());
        Self { process, pool }
    }

    /// The keeper's next order; none within a minute of waiting.
    pub async fn order(&self) -> Option<Order> {
        timeout(secs(60), self.pool.next()).await.ok()
    }

    /// The connection that is to be made next.
    pub async fn begun(&self) -> Arc<Member> {
        match self.order().await {
            Some(Order::Connect(member)) => member,
            _ => panic!("no connection is to be made"),
        }
    }

    /// The connection that is to be ended next.
    pub async fn ended(&self) -> Arc<Member> {
        match self.order().await {
            Some(Order::Disconnect { member, .. }) => member,
            _ => panic!("no connection is to be ended"),
        }
    }

    pub async fn is_quiet(&self) -> bool {
        self.order().await.is_none()
    }

    /// Makes the connection that is to be made next.
    pub async fn grown(&self) -> (Arc<Member>, Arc<Watch>) {
        let member = self.begun().await;
        let watch = self.arrives(&member);
        (member, watch)
    }

    /// Connects `member`; what its monitor reports goes through the watch.
    pub fn arrives(&self, member: &Arc<Member>) -> Arc<Watch> {
        let binding = Arc::new(Seat {
            pool: Arc::clone(&self.pool),
            member: Arc::clone(member),
        });
        let connection = Connection {
            info: info(),
            binding,
        };
        member.session.adopt(connection, None).unwrap();
        let plan = Plan::every(secs(5)).of_pool();
        let watch = Watch::new(plan, secs(2));
        member.session.set_watch(Some(Arc::clone(&watch)));
        watch
    }

    pub fn waits(&self) -> Waiter {
        match self.pool.lend() {
            Ok(Lending::Later(waiter)) => waiter,
            _ => panic!("the caller does not have to wait"),
        }
    }

    pub fn lends(&self) -> Lease {
        match self.pool.lend() {
            Ok(Lending::Now(lease)) => lease,
            _ => panic!("there is no free connection"),
        }
    }

    pub fn refuses(&self) -> LendError {
        match self.pool.lend() {
            Err(error) => error,
            Ok(_) => panic!("the caller is not refused"),
        }
    }
}

/// What the Python side does for a connection: it tells the pool.
struct Seat {
    pool: Arc<Pool>,
    member: Arc<Member>,
}

impl Binding for Seat {
    fn held(self: Arc<Self>) {
        self.pool.up(&self.member);
    }

    fn released(&self) {
        self.pool.down(&self.member, false);
    }

    fn unhealthy(&self, is_broken: bool) {
        self.pool.down(&self.member, is_broken);
    }

    fn answered(&self) {
        self.pool.up(&self.member);
    }
}

pub fn target() -> Target {
    let env = Env::Snapshot(BTreeMap::new());
    Target::resolve(Some(HEAD), &NamespaceArg::Anonymous, &env).unwrap()
}

fn info() -> ConnectionInfo {
    ConnectionInfo {
        target: Some(target()),
        address: HEAD.to_owned(),
        namespace: None,
        mode: Mode::Client,
        since: SystemTime::UNIX_EPOCH,
        facts: Facts::default(),
        ray: RayCluster::default(),
        took: Duration::ZERO,
        instead_of: None,
    }
}

/// Its monitor says that the cluster does not answer, or that it alone is broken.
pub fn doubted(member: &Member, watch: &Watch, is_broken: bool) {
    let left = if is_broken { Duration::ZERO } else { secs(30) };
    let change = Change::Unhealthy(cause(Kind::NotReady));
    member
        .session
        .monitored(watch)
        .unwrap()
        .change(change, Some(left));
}

/// Its monitor has given it up, and waits for the cluster.
pub fn released(member: &Member, watch: &Watch) {
    let session = &member.session;
    let change = Change::Lost(cause(Kind::Lost));
    session.monitored(watch).unwrap().change(change, None);
    assert!(session.monitored(watch).unwrap().begin_release());
    session.closed(Some(watch));
}

pub fn cause(kind: Kind) -> ConnectError {
    ConnectError::new(kind, HEAD, format!("{HEAD}: scripted"), "Nothing")
}

pub fn soon() -> Instant {
    Instant::now() + secs(30)
}
