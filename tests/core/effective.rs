//! The settings in force, each with where it came from.

use std::collections::{BTreeMap, BTreeSet};

use seedcore_ray::config::Env;
use seedcore_ray::doctor::effective::{self, Effective};
use seedcore_ray::gateway::Gateway;
use seedcore_ray::target::{NamespaceArg, Target};

use crate::env;

fn shown(argument: Option<&str>, env: &Env) -> BTreeMap<String, Effective> {
    let target = Target::resolve(argument, &NamespaceArg::LeftOut, env);
    let all = effective::connection(argument, &target, env);
    all.into_iter().map(|one| (one.name.clone(), one)).collect()
}

#[test]
fn every_setting_says_where_it_came_from() {
    let vars = [
        ("RAY_ADDRESS", "ray://head"),
        ("RAY_NAMESPACE", "theirs"),
        ("SEEDCORE_RAY_PROBE_TIMEOUT_S", "0.5"),
        ("SEEDCORE_RAY_INIT_TIMEOUT_S", "soon"),
        ("SEEDCORE_RAY_FALLBACKS", "off"),
        ("RAY_USE_TLS", "1"),
        ("RAY_TLS_CA_CERT", "/ca.crt"),
        ("RAY_AUTH_TOKEN", "s3cret"),
    ];
    let all = shown(None, &env(&vars));
    for (name, value, source) in [
        ("address", "ray://head:10001", "RAY_ADDRESS"),
        ("namespace", "theirs", "RAY_NAMESPACE"),
        ("connect_timeout_s", "30", "default"),
        ("probe_timeout_s", "0.5", "SEEDCORE_RAY_PROBE_TIMEOUT_S"),
        ("init_timeout_s", "30", "default"),
        ("fallbacks", "0", "SEEDCORE_RAY_FALLBACKS"),
        ("import_hook", "1", "default"),
        ("token", "not sent", "RAY_AUTH_TOKEN"),
        ("use_tls", "1", "RAY_USE_TLS"),
        ("tls_ca_cert", "/ca.crt", "RAY_TLS_CA_CERT"),
    ] {
        let one = &all[name];
        assert_eq!(
            (one.value.as_str(), one.source.as_str()),
            (value, source),
            "{name}"
        );
    }
    let wrong: BTreeSet<_> = all
        .values()
        .filter(|one| !one.ok)
        .map(|one| &one.name)
        .collect();
    let files = ["tls_server_cert", "tls_server_key"];
    let expected: BTreeSet<_> = [&["init_timeout_s"][..], &files]
        .concat()
        .into_iter()
        .collect();
    assert_eq!(
        wrong
            .iter()
            .map(|name| name.as_str())
            .collect::<BTreeSet<_>>(),
        expected
    );
    assert!(!format!("{all:?}").contains("s3cret"));
}

#[test]
fn the_address_is_shown_as_far_as_it_may_be() {
    let vars = [("RAY_ADDRESS", "ray://env")];
    let overridden = &shown(Some("auto"), &env(&vars))["address"];
    assert_eq!(overridden.source, "RAY_ADDRESS");
    assert!(
        overridden
            .note
            .as_ref()
            .is_some_and(|note| note.contains("`auto`"))
    );
    assert!(shown(None, &env(&vars))["address"].note.is_none());
    let bad = &shown(Some("ray://me:s3cret@head"), &env(&[]))["address"];
    assert_eq!((bad.ok, bad.source.as_str()), (false, "argument"));
    assert!(!format!("{bad:?}").contains("s3cret"), "{bad:?}");
}

#[test]
fn urls_of_serve_say_what_they_were_made_from() {
    let sources = |vars: &[(&str, &str)]| {
        let env = env(vars);
        let all = effective::serve(&env, &Gateway::from_env(&env, |_| false));
        let told = |one: Effective| format!("{}={} {}", one.name, one.value, one.source);
        all.into_iter().map(told).collect::<Vec<_>>()
    };
    let plain = sources(&[("POD_NAMESPACE", "prod"), ("SERVE_BASE_PATH", "/m")]);
    let derived = "http://seedcore-svc-stable-svc.prod.svc.cluster.local:8000";
    assert_eq!(plain[0], "kubernetes_namespace=prod POD_NAMESPACE");
    assert_eq!(plain[1], format!("serve_gateway={derived} derived"));
    assert_eq!(plain[2], format!("ml={derived}/m SERVE_BASE_PATH"));
    assert!(plain[3].ends_with("/cognitive default"));
    let given = sources(&[("SERVE_GATEWAY", "http://me:s3cret@gw:80")]);
    assert_eq!(given[1], "serve_gateway=http://gw:80 SERVE_GATEWAY");
}
