//! What the doctor makes of what it finds, on a scripted network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seedcore_ray::address::{HostPort, RayAddress};
use seedcore_ray::config::{Env, Kubernetes};
use seedcore_ray::doctor::{Candidate, Examination, FAILED, Here, OK, Verdict, examine};
use seedcore_ray::error::{ConnectError, Kind};
use seedcore_ray::preflight::{BoxFuture, Network, Passed, ProbePlan};
use seedcore_ray::probe::local::{LocalRay, LocalSource};
use seedcore_ray::probe::version::Local;
use seedcore_ray::probe::{Credentials, Facts, Given, LocalNode, RayPort, Report, Step, Timeouts};
use seedcore_ray::target::{NamespaceArg, Target};

use crate::{env, env_with_files};

const HEAD: &str = "seedcore-svc-raycluster-k3x9q-head-svc";
const PROBE: Duration = Duration::from_secs(2);

/// Servers by name: how far one gets with each. Every other name does not resolve.
#[derive(Clone, Default)]
struct Wires(BTreeMap<&'static str, Server>);

#[derive(Clone)]
enum Server {
    Answers(Facts),
    Fails(Kind),
}

impl Wires {
    fn with(mut self, host: &'static str, server: Server) -> Self {
        self.0.insert(host, server);
        self
    }
}

impl Network for Wires {
    fn probe<'a>(
        &'a self,
        server: &'a HostPort,
        ray_port: RayPort,
        _: &'a Credentials,
        _: Timeouts,
    ) -> BoxFuture<'a, Report> {
        Box::pin(async move {
            let shown = match ray_port {
                RayPort::Gcs => server.to_string(),
                RayPort::Client => format!("ray://{server}"),
            };
            let is = self.0.get(server.host.as_str()).cloned();
            report(&shown, &is.unwrap_or(Server::Fails(Kind::Dns)))
        })
    }

    fn poke<'a>(&'a self, _: &'a ProbePlan) -> BoxFuture<'a, Result<(), ConnectError>> {
        Box::pin(async { panic!("a doctor looks closely") })
    }

    fn local_node<'a>(&'a self, _: &'a ProbePlan, passed: &'a Passed) -> BoxFuture<'a, LocalNode> {
        let server = passed.address.host_port();
        let is_far = server.is_some_and(|server| server.host == "far");
        Box::pin(std::future::ready(if is_far {
            LocalNode::Elsewhere(vec!["10.0.0.1".into(), "10.0.0.2".into()])
        } else {
            LocalNode::Unknown
        }))
    }
}

fn report(shown: &str, server: &Server) -> Report {
    let names = ["dns", "tcp", "grpc"];
    let (reached, result) = match server {
        Server::Answers(facts) => (3, Ok(facts.clone())),
        Server::Fails(kind) => {
            let cause = ConnectError::new(*kind, shown, format!("{shown}: {kind}"), "try again");
            (usize::from(*kind != Kind::Dns), Err(cause))
        }
    };
    let hop = |(index, &name): (usize, &&'static str)| Step {
        name,
        detail: format!("{shown}: told"),
        at: SystemTime::UNIX_EPOCH,
        took: Duration::from_millis(1),
        ok: index < reached,
    };
    let met = names.iter().enumerate().take(reached + 1);
    Report {
        steps: met.map(hop).collect(),
        result,
    }
}

fn answers() -> Server {
    Server::Answers(Facts::default())
}

fn runs(ray: &str, python: &str) -> Server {
    Server::Answers(Facts {
        ray_version: Some(ray.to_owned()),
        python_version: Some(python.to_owned()),
        ..Facts::default()
    })
}

fn here() -> Here {
    Here {
        versions: Some(Local {
            ray: "2.60.0".to_owned(),
            python: "3.11.9".to_owned(),
            match_level: None,
        }),
        not_served: None,
        kubernetes: Kubernetes::default(),
        may_fall_back: true,
    }
}

fn in_kubernetes() -> Here {
    let kubernetes = Kubernetes {
        namespace: Some("prod".to_owned()),
        inside: true,
        ray_pod: false,
    };
    Here {
        kubernetes,
        ..here()
    }
}

/// The report on `argument` and these variables.
fn examined(
    wires: Wires,
    argument: Option<&str>,
    vars: &[(&str, &str)],
    here: &Here,
) -> Examination {
    let mut probe_plan = probe_plan(argument, &env(vars), here);
    probe_plan.find_local = Arc::new(|| Ok(local()));
    run(wires, &probe_plan, here)
}

fn probe_plan(argument: Option<&str>, env: &Env, here: &Here) -> ProbePlan {
    let target = Target::resolve(argument, &NamespaceArg::LeftOut, env).expect("a right address");
    ProbePlan {
        fallbacks: target.fallbacks(&here.kubernetes),
        ..ProbePlan::from_env(target, env, PROBE, false, Given::default())
    }
}

fn run(wires: Wires, probe_plan: &ProbePlan, here: &Here) -> Examination {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let network: Arc<dyn Network> = Arc::new(wires);
    runtime.block_on(examine(&network, probe_plan, here))
}

fn local() -> LocalRay {
    LocalRay {
        address: HostPort {
            host: "10.0.0.7".to_owned(),
            port: 6379,
        },
        source: LocalSource::Process,
        ambiguous: false,
    }
}

fn verdicts(candidate: &Candidate) -> Vec<(&str, Verdict)> {
    let hops = candidate.hops.iter();
    hops.map(|hop| (hop.name, hop.verdict)).collect()
}

#[test]
fn every_hop_is_told_whether_it_was_reached_or_not() {
    use Verdict::{Failed, Ok, Skipped};
    let wires = Wires::default()
        .with("up", answers())
        .with("down", Server::Fails(Kind::Refused));
    let up = examined(wires.clone(), Some("ray://up"), &[], &here());
    assert_eq!(
        verdicts(&up.candidates[0]),
        [
            ("token", Skipped),
            ("dns", Ok),
            ("tcp", Ok),
            ("tls", Skipped),
            ("grpc", Ok),
            ("cluster", Skipped),
            ("versions", Skipped)
        ]
    );
    assert_eq!((up.diagnosis.exit_code, up.diagnosis.kind), (OK, None));
    let down = examined(wires, Some("down:6379"), &[], &here());
    assert_eq!(
        verdicts(&down.candidates[0]),
        [
            ("token", Skipped),
            ("dns", Ok),
            ("tcp", Failed),
            ("tls", Skipped),
            ("grpc", Skipped),
            ("cluster", Skipped),
            ("versions", Skipped)
        ]
    );
    assert_eq!(down.diagnosis.kind, Some(Kind::Refused));
    assert_eq!(down.diagnosis.sentence, "down:6379: refused");
    assert_eq!(down.diagnosis.next, "Try again.");
    // The candidate is named above its hops, so they need not name it.
    assert!(
        down.candidates[0]
            .hops
            .iter()
            .all(|hop| !hop.detail.contains("down:6379"))
    );
}

#[test]
fn versions_are_compared_as_ray_does() {
    let wires = Wires::default().with("old", runs("2.44.1", "3.11.9"));
    let other = examined(wires.clone(), Some("old:6379"), &[], &here());
    assert_eq!(other.diagnosis.kind, Some(Kind::VersionMismatch));
    assert!(
        other.diagnosis.next.contains("ray==2.44.1"),
        "{:?}",
        other.diagnosis
    );
    assert_eq!(
        other.candidates[0].facts.ray_version.as_deref(),
        Some("2.44.1")
    );

    let without_ray = Here {
        versions: None,
        ..here()
    };
    let missing = examined(wires, Some("old:6379"), &[], &without_ray);
    assert_eq!(missing.diagnosis.kind, Some(Kind::RayMissing));
    let down = examined(Wires::default(), Some("down:6379"), &[], &without_ray);
    assert_eq!(
        down.diagnosis.kind,
        Some(Kind::Dns),
        "what is wrong on the way comes first"
    );
    let last = down.candidates[0].hops.last().expect("a hop");
    assert_eq!((last.name, last.verdict), ("versions", Verdict::Failed));

    let same = Wires::default().with("new", runs("2.60.0", "3.11.9"));
    let same = examined(same, Some("new:6379"), &[], &here());
    assert_eq!(same.diagnosis.exit_code, OK);
}

#[test]
fn modules_that_are_not_ours_count_only_when_all_else_is_well() {
    let wires = Wires::default().with("up", answers());
    let foreign = Here {
        not_served: Some("Reinstall it.".to_owned()),
        ..here()
    };
    let up = examined(wires.clone(), Some("ray://up"), &[], &foreign).diagnosis;
    assert_eq!(
        (up.exit_code, up.kind, up.next.as_str()),
        (FAILED, None, "Reinstall it.")
    );
    let down = examined(wires, Some("ray://down"), &[], &foreign).diagnosis;
    assert_eq!(down.kind, Some(Kind::Dns));
}

#[test]
fn a_renamed_head_service_is_recognised() {
    let stable = "seedcore-svc-raycluster-stable-svc";
    let asked = format!("{HEAD}:6379");
    let wires = Wires::default().with(stable, answers());
    let replaced = examined(wires.clone(), Some(&asked), &[], &here());
    let diagnosis = &replaced.diagnosis;
    assert_eq!((diagnosis.exit_code, diagnosis.kind), (OK, None));
    assert!(
        diagnosis.sentence.starts_with("The head service"),
        "{diagnosis:?}"
    );
    assert_eq!(diagnosis.next, format!("Set RAY_ADDRESS={stable}:6379."));
    let fallbacks: Vec<_> = replaced
        .candidates
        .iter()
        .map(|one| one.is_fallback)
        .collect();
    assert_eq!(fallbacks, [false, true, true]);

    let forbidden = Here {
        may_fall_back: false,
        ..here()
    };
    let diagnosis = examined(wires, Some(&asked), &[], &forbidden).diagnosis;
    assert_eq!(diagnosis.kind, Some(Kind::Dns));
    assert!(diagnosis.next.contains(stable) && diagnosis.next.contains("SEEDCORE_RAY_FALLBACKS"));

    let refusing = Wires::default().with(stable, Server::Fails(Kind::Refused));
    let diagnosis = examined(refusing, Some(&asked), &[], &here()).diagnosis;
    assert_eq!(diagnosis.kind, Some(Kind::Dns));
    assert!(
        diagnosis.sentence.contains("exists, but does not answer"),
        "{diagnosis:?}"
    );
}

#[test]
fn fallbacks_are_left_alone_when_the_address_answers() {
    let wires = Wires::default().with(HEAD, answers());
    let report = examined(wires, Some(&format!("ray://{HEAD}")), &[], &here());
    let (asked, others) = report.candidates.split_first().expect("candidates");
    assert_eq!(asked.verdict, Verdict::Ok);
    assert!(!others.is_empty());
    for other in others {
        assert_eq!((other.verdict, other.hops.len()), (Verdict::Skipped, 0));
    }
}

#[test]
fn standbys_are_probed_and_named() {
    let wires = Wires::default()
        .with("a", answers())
        .with("refused", Server::Fails(Kind::Refused))
        .with("closed", Server::Fails(Kind::Auth))
        .with("far", answers())
        .with("b", answers());
    let examined = |argument, standbys: &[&str]| {
        let standbys = standbys.iter().map(|text| RayAddress::parse(text).unwrap());
        let plan = probe_plan(Some(argument), &env(&[]), &here());
        run(
            wires.clone(),
            &plan.with_standbys(&standbys.collect::<Vec<_>>()),
            &here(),
        )
    };
    let states = |report: &Examination| {
        let others = report.candidates.iter().filter(|one| one.is_standby);
        let states = others.map(|one| (one.address.to_string(), one.verdict));
        states.collect::<Vec<_>>()
    };
    // Found out before they are needed.
    let well = examined("ray://a", &["ray://refused", "ray://b"]);
    assert_eq!(well.diagnosis.exit_code, OK);
    let expected = [
        ("ray://refused:10001".to_owned(), Verdict::Failed),
        ("ray://b:10001".to_owned(), Verdict::Ok),
    ];
    assert_eq!(states(&well), expected);

    let away = examined("ray://refused", &["far:6379", "ray://b", "ray://a"]);
    let diagnosis = &away.diagnosis;
    assert_eq!((diagnosis.exit_code, diagnosis.kind), (OK, None));
    assert!(
        diagnosis
            .sentence
            .contains("the standby ray://b:10001 answers"),
        "{diagnosis:?}"
    );
    assert_eq!(
        states(&away)[0].1,
        Verdict::Failed,
        "none of its nodes is here"
    );
    // A connect would not try them.
    let closed = examined("ray://closed", &["ray://b"]).diagnosis;
    assert_eq!(closed.kind, Some(Kind::Auth));
    let none = examined("ray://refused", &["ray://closed"]).diagnosis;
    assert_eq!(none.kind, Some(Kind::Refused));
}

#[test]
fn a_kubernetes_service_that_does_not_resolve() {
    let none = Wires::default;
    let inside = examined(none(), Some("ray://raay"), &[], &in_kubernetes()).diagnosis;
    assert!(
        inside.next.contains("kubectl get svc -n prod"),
        "{inside:?}"
    );
    let name = "ray://ray.prod.svc.cluster.local";
    let outside = examined(none(), Some(name), &[], &here()).diagnosis;
    assert!(
        outside.sentence.contains("outside of Kubernetes"),
        "{outside:?}"
    );
    assert!(outside.next.contains("port-forward"), "{outside:?}");
    for diagnosis in [inside, outside] {
        assert_eq!(diagnosis.kind, Some(Kind::Dns));
    }
}

#[test]
fn a_ray_of_this_machine_is_mentioned_where_ray_address_hides_it() {
    let vars = [("RAY_ADDRESS", "ray://gone:10001")];
    let running = Wires::default().with("10.0.0.7", answers());
    let next = |argument| {
        let report = examined(running.clone(), argument, &vars, &here());
        report.diagnosis.next
    };
    for argument in [None, Some("auto")] {
        assert!(next(argument).contains("at 10.0.0.7:6379: unset RAY_ADDRESS"));
    }
    assert!(
        !next(Some("ray://gone")).contains("10.0.0.7"),
        "it was asked for by hand"
    );
    let dead = examined(Wires::default(), None, &vars, &here()).diagnosis;
    assert!(!dead.next.contains("10.0.0.7"), "it does not answer");
}

#[test]
fn a_token_that_lies_unused_is_mentioned() {
    let files = [("/root/.ray/auth_token", "s3cret")];
    let env = env_with_files(&[("HOME", "/root")], &files);
    let probe_plan = probe_plan(Some("ray://up"), &env, &here());
    let report = run(Wires::default().with("up", answers()), &probe_plan, &here());
    let token = &report.candidates[0].hops[0];
    assert!(token.detail.contains("/root/.ray/auth_token"), "{token:?}");
    assert!(
        token.detail.contains("RAY_AUTH_MODE is not set"),
        "{token:?}"
    );
    assert!(!format!("{report:?}").contains("s3cret"));
}

#[test]
fn a_cluster_without_a_node_here_is_no_use_to_a_native_driver() {
    let wires = Wires::default().with("far", answers());
    let found = examined(wires, Some("far:6379"), &[], &here());
    let hops = &found.candidates[0].hops;
    let node = hops.iter().find(|hop| hop.name == "node").unwrap();
    assert_eq!(node.verdict, Verdict::Failed);
    assert!(
        node.detail.contains("10.0.0.1, 10.0.0.2"),
        "{}",
        node.detail
    );
    assert_eq!(found.diagnosis.kind, Some(Kind::NoLocalNode));
    assert!(found.diagnosis.next.contains("ray://"));
}
