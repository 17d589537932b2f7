//! Which address and namespace are meant, and what else may be tried.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use seedcore_ray::address::RayAddress;
use seedcore_ray::config::Kubernetes;
use seedcore_ray::error::Kind;
use seedcore_ray::preflight::ProbePlan;
use seedcore_ray::probe::Given;
use seedcore_ray::target::{NamespaceArg, Source, Target};

use crate::env;

fn resolve(address: Option<&str>, vars: &[(&str, &str)]) -> Target {
    Target::resolve(address, &NamespaceArg::LeftOut, &env(vars)).expect("a right address")
}

fn in_namespace(namespace: Option<&str>) -> Kubernetes {
    Kubernetes {
        namespace: namespace.map(str::to_owned),
        inside: true,
        ray_pod: false,
    }
}

#[test]
fn the_address_is_argument_then_environment_then_auto() {
    let ray_address = "RAY_ADDRESS";
    let set = [(ray_address, "ray://env:10001")];
    let from_env = Source::Env(ray_address);
    for (argument, vars, address, source) in [
        (
            Some("ray://arg"),
            &set[..],
            "ray://arg:10001",
            Source::Argument,
        ),
        (Some(" arg:6379 "), &set, "arg:6379", Source::Argument),
        (Some("local"), &set, "local", Source::Argument),
        (None, &set, "ray://env:10001", from_env),
        (Some(""), &set, "ray://env:10001", from_env),
        (Some(" \t"), &set, "ray://env:10001", from_env),
        // Ray does the same with an explicit `auto`.
        (Some("auto"), &set, "ray://env:10001", from_env),
        (Some(" auto\n"), &set, "ray://env:10001", from_env),
        (Some("auto"), &[], "auto", Source::Argument),
        (
            Some("auto"),
            &[(ray_address, "  ")],
            "auto",
            Source::Argument,
        ),
        (None, &[], "auto", Source::Default),
        (Some(" "), &[], "auto", Source::Default),
        (None, &[(ray_address, "")], "auto", Source::Default),
        (None, &[(ray_address, "auto")], "auto", from_env),
        (None, &[(ray_address, " local ")], "local", from_env),
    ] {
        let target = resolve(argument, vars);
        assert_eq!(target.address.to_string(), address, "{argument:?} {vars:?}");
        assert_eq!(target.address_source, source, "{argument:?} {vars:?}");
    }
}

#[test]
fn a_wrong_address_says_where_it_came_from() {
    let vars = [("RAY_ADDRESS", "http://u:p@h:8265")];
    let error = Target::resolve(None, &NamespaceArg::LeftOut, &env(&vars)).expect_err("http");
    assert_eq!(error.kind, Kind::InvalidAddress);
    assert!(
        error
            .message
            .starts_with("RAY_ADDRESS: `http://***@h:8265` is not"),
        "{error}"
    );
    let error = Target::resolve(Some("h"), &NamespaceArg::LeftOut, &env(&vars)).expect_err("h");
    assert!(error.message.starts_with("`h` is not"), "{error}");
}

#[test]
fn the_namespace_is_argument_then_environment_then_default() {
    use NamespaceArg::{Anonymous, LeftOut, Named};
    let both = [("RAY_NAMESPACE", "ray"), ("SEEDCORE_NS", "seed")];
    let (seed, ray) = (Source::Env("SEEDCORE_NS"), Source::Env("RAY_NAMESPACE"));
    for (argument, vars, namespace, source) in [
        (Named("mine"), &both[..], Some("mine"), Source::Argument),
        (Named(" mine "), &both, Some("mine"), Source::Argument),
        (
            Named("seedcore-dev"),
            &both,
            Some("seedcore-dev"),
            Source::Argument,
        ),
        (LeftOut, &both, Some("seed"), seed),
        (Anonymous, &both, Some("seed"), seed),
        (Named(""), &both, Some("seed"), seed),
        (LeftOut, &both[..1], Some("ray"), ray),
        (Anonymous, &both[..1], Some("ray"), ray),
        (LeftOut, &[("SEEDCORE_NS", " "), both[0]], Some("ray"), ray),
        (LeftOut, &[], Some("seedcore-dev"), Source::Default),
        (Named("  "), &[], Some("seedcore-dev"), Source::Default),
        (Anonymous, &[], None, Source::Argument),
        (
            LeftOut,
            &[("POD_NAMESPACE", "k8s")],
            Some("seedcore-dev"),
            Source::Default,
        ),
    ] {
        let target = Target::resolve(None, &argument, &env(vars)).expect("auto");
        assert_eq!(
            target.namespace.as_deref(),
            namespace,
            "{argument:?} {vars:?}"
        );
        assert_eq!(target.namespace_source, source, "{argument:?} {vars:?}");
    }
}

#[test]
fn sources_have_names_for_people() {
    assert_eq!(Source::Argument.as_str(), "argument");
    assert_eq!(Source::Env("RAY_ADDRESS").as_str(), "RAY_ADDRESS");
    assert_eq!(Source::Default.as_str(), "default");
}

#[test]
fn targets_are_equal_wherever_they_came_from() {
    let vars = [
        ("RAY_ADDRESS", "ray://h:10001"),
        ("SEEDCORE_NS", "seedcore-dev"),
    ];
    let same = [resolve(Some("ray://h"), &[]), resolve(None, &vars)];
    assert_eq!(same[0], same[1]);
    assert_ne!(same[0].address_source, same[1].address_source);
    assert_eq!(HashSet::from(same.clone()).len(), 1);
    let other_address = resolve(Some("ray://h:10002"), &[]);
    let other_form = resolve(Some("h:10001"), &[]);
    let other_namespace = resolve(Some("ray://h"), &[("SEEDCORE_NS", "x")]);
    for other in [other_address, other_form, other_namespace] {
        assert_ne!(same[0], other);
    }
}

const DEV: Option<&str> = Some("dev");
const OURS: &str = "ray://seedcore-svc-stable-svc";
const OURS_IN_DEV: &str = "ray://seedcore-svc-stable-svc.dev.svc.cluster.local:10001";
const OURS_BARE: &str = "ray://seedcore-svc-stable-svc:10001";

/// Address, Kubernetes namespace, fallbacks by priority.
const FALLBACKS: &[(&str, Option<&str>, &[&str])] = &[
    // No head service, no fallback.
    ("ray://h", DEV, &[]),
    ("h:6379", DEV, &[]),
    ("local", DEV, &[]),
    ("127.0.0.1:6379", DEV, &[]),
    ("ray://10.0.0.1", DEV, &[]),
    ("ray://[fd00::1]", DEV, &[]),
    ("ray://x-stable-svc", DEV, &[]),
    ("ray://seedcore-svc-stable-svc", DEV, &[]),
    ("ray://x-head-svc-2", DEV, &[]),
    ("ray://head-svc", DEV, &[]),
    ("ray://h.x-head-svc", DEV, &[]),
    // The same base, form and port.
    (
        "ray://x-head-svc",
        DEV,
        &[
            "ray://x-stable-svc.dev.svc.cluster.local:10001",
            "ray://x-stable-svc:10001",
        ],
    ),
    ("ray://x-head-svc:7", None, &["ray://x-stable-svc:7"]),
    ("ray://x-head-svc.", None, &["ray://x-stable-svc:10001"]),
    (
        "x-head-svc:6379",
        DEV,
        &[
            "x-stable-svc.dev.svc.cluster.local:6379",
            "x-stable-svc:6379",
        ],
    ),
    // Its own domain is kept.
    (
        "ray://x-head-svc.prod.svc.cluster.local",
        DEV,
        &[
            "ray://x-stable-svc.prod.svc.cluster.local:10001",
            "ray://x-stable-svc:10001",
        ],
    ),
    (
        "ray://x-head-svc.prod",
        None,
        &["ray://x-stable-svc.prod:10001", "ray://x-stable-svc:10001"],
    ),
    // A run id may be a word: kept first, then dropped.
    (
        "ray://x-k3x9q-head-svc",
        DEV,
        &[
            "ray://x-k3x9q-stable-svc.dev.svc.cluster.local:10001",
            "ray://x-k3x9q-stable-svc:10001",
            "ray://x-stable-svc.dev.svc.cluster.local:10001",
            "ray://x-stable-svc:10001",
        ],
    ),
    (
        "x-train-head-svc:1",
        None,
        &["x-train-stable-svc:1", "x-stable-svc:1"],
    ),
    (
        "x-12345-head-svc:1",
        None,
        &["x-12345-stable-svc:1", "x-stable-svc:1"],
    ),
    // Not a run id: four or six characters, capitals, nothing before it.
    ("x-k3x9-head-svc:1", None, &["x-k3x9-stable-svc:1"]),
    ("x-k3x9qz-head-svc:1", None, &["x-k3x9qz-stable-svc:1"]),
    ("x-K3X9Q-head-svc:1", None, &["x-K3X9Q-stable-svc:1"]),
    ("x-k3_9q-head-svc:1", None, &["x-k3_9q-stable-svc:1"]),
    ("k3x9q-head-svc:1", None, &["k3x9q-stable-svc:1"]),
    // Our own cluster.
    (
        "ray://seedcore-svc-head-svc",
        DEV,
        &[OURS_IN_DEV, OURS_BARE],
    ),
    ("ray://seedcore-svc-head-svc", None, &[OURS_BARE]),
    (
        "ray://seedcore-svc-head-svc:10002",
        None,
        &["ray://seedcore-svc-stable-svc:10002", OURS_BARE],
    ),
    (
        "ray://seedcore-svc-raycluster-k3x9q-head-svc:10001",
        DEV,
        &[
            "ray://seedcore-svc-raycluster-k3x9q-stable-svc.dev.svc.cluster.local:10001",
            "ray://seedcore-svc-raycluster-k3x9q-stable-svc:10001",
            "ray://seedcore-svc-raycluster-stable-svc.dev.svc.cluster.local:10001",
            "ray://seedcore-svc-raycluster-stable-svc:10001",
            OURS_IN_DEV,
            OURS_BARE,
        ],
    ),
    (
        "ray://seedcore-svc-k3x9q-head-svc",
        None,
        &["ray://seedcore-svc-k3x9q-stable-svc:10001", OURS_BARE],
    ),
    // A native driver stays one.
    (
        "seedcore-svc-k3x9q-head-svc:6379",
        None,
        &[
            "seedcore-svc-k3x9q-stable-svc:6379",
            "seedcore-svc-stable-svc:6379",
        ],
    ),
    (
        "ray://my-seedcore-svc-head-svc",
        None,
        &["ray://my-seedcore-svc-stable-svc:10001"],
    ),
];

fn shown(addresses: &[RayAddress]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn fallbacks_by_priority() {
    for &(address, namespace, expected) in FALLBACKS {
        let found = resolve(Some(address), &[]).fallbacks(&in_namespace(namespace));
        assert_eq!(shown(&found), expected, "{address} in {namespace:?}");
        // Where the address came from makes no difference.
        let found = resolve(None, &[("RAY_ADDRESS", address)]).fallbacks(&in_namespace(namespace));
        assert_eq!(
            shown(&found),
            expected,
            "{address} in {namespace:?}, from the environment"
        );
    }
}

#[test]
fn standbys_are_other_clusters_in_the_order_given() {
    let given: Vec<_> = ["ray://b", "ray://a", "x-stable-svc:1", "ray://b", "c:6379"]
        .map(|text| RayAddress::parse(text).unwrap())
        .into();
    for (address, fallbacks, expected) in [
        (
            "ray://a",
            true,
            &["ray://b:10001", "x-stable-svc:1", "c:6379"][..],
        ),
        (
            "auto",
            true,
            &["ray://b:10001", "ray://a:10001", "x-stable-svc:1", "c:6379"],
        ),
        (
            "x-head-svc:1",
            true,
            &["ray://b:10001", "ray://a:10001", "c:6379"],
        ),
        // Given, and not guessed.
        (
            "ray://a",
            false,
            &["ray://b:10001", "x-stable-svc:1", "c:6379"],
        ),
        ("local", true, &[]),
    ] {
        let target = resolve(Some(address), &[]);
        let given_to_ray = Given::default();
        let plan = ProbePlan::from_env(target, &env(&[]), Duration::ZERO, fallbacks, given_to_ray);
        let plan = plan.with_standbys(&given);
        assert_eq!(shown(&plan.standbys), expected, "{address}");
        let rounds =
            1 + usize::from(!plan.fallbacks.is_empty()) + usize::from(!expected.is_empty());
        assert_eq!(plan.rounds() as usize, rounds, "{address}");
    }
}

#[test]
fn a_name_that_would_grow_too_long_is_left_out() {
    let base = "a".repeat(54);
    let address = format!("ray://{base}-head-svc");
    assert_eq!(
        resolve(Some(&address), &[]).fallbacks(&in_namespace(None)),
        []
    );
    let address = format!("ray://{}-head-svc", &base[2..]);
    assert_eq!(
        resolve(Some(&address), &[])
            .fallbacks(&in_namespace(None))
            .len(),
        1
    );
}

#[test]
fn nothing_given_inside_kubernetes_tries_our_stable_service() {
    let nothing = resolve(None, &[]);
    assert_eq!(
        shown(&nothing.fallbacks(&in_namespace(Some("dev")))),
        [OURS_IN_DEV]
    );
    assert_eq!(shown(&nothing.fallbacks(&in_namespace(None))), [OURS_BARE]);
    let outside = Kubernetes {
        inside: false,
        ..in_namespace(Some("dev"))
    };
    assert_eq!(nothing.fallbacks(&outside), []);
    let ray_pod = Kubernetes {
        ray_pod: true,
        ..in_namespace(Some("dev"))
    };
    assert_eq!(nothing.fallbacks(&ray_pod), []);
    // Asked for by name, `auto` means this machine.
    let explicit = resolve(Some("auto"), &[]);
    assert_eq!(explicit.fallbacks(&in_namespace(Some("dev"))), []);
    let from_env = resolve(None, &[("RAY_ADDRESS", "auto")]);
    assert_eq!(from_env.fallbacks(&in_namespace(Some("dev"))), []);
}

proptest! {
    #[test]
    fn fallbacks_are_right_addresses_without_repeats(
        client in any::<bool>(),
        base in "(seedcore-svc|[a-z]{1,50})(-[a-z0-9]{4,6})?",
        suffix in "([.][a-z]{1,9}){0,4}[.]?",
        port in 1..=u16::MAX,
        namespace in proptest::option::of("[a-z]{1,9}"),
    ) {
        let scheme = if client { "ray://" } else { "" };
        let given = format!("{scheme}{base}-head-svc{suffix}:{port}");
        let Ok(address) = RayAddress::parse(&given) else { return Ok(()) };
        let target = resolve(Some(&given), &[]);
        let found = target.fallbacks(&in_namespace(namespace.as_deref()));
        prop_assert!(!found.contains(&address));
        prop_assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len());
        for fallback in &found {
            prop_assert_eq!(RayAddress::parse(&fallback.to_string()), Ok(fallback.clone()));
            let is_client = matches!(fallback, RayAddress::Client(_));
            prop_assert_eq!(is_client, client);
            let same_port = fallback.host_port().is_some_and(|at| at.port == port);
            prop_assert!(same_port || fallback.to_string().starts_with(OURS));
        }
    }
}
