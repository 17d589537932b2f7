//! Any environment and files: settings stay within their bounds, no message shows a secret.
#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use seedcore_ray::config::{Env, Kubernetes, MAX_SECONDS, Settings};
use seedcore_ray::doctor::effective;
use seedcore_ray::gateway::Gateway;
use seedcore_ray::probe::Credentials;
use seedcore_ray::target::{NamespaceArg, Target};

const SECRET: &str = "S3CRET-token";
const VARIABLES: [&str; 26] = [
    "RAY_ADDRESS",
    "RAY_NAMESPACE",
    "SEEDCORE_NS",
    "POD_NAMESPACE",
    "KUBERNETES_SERVICE_HOST",
    "RAY_CLUSTER_NAME",
    "SERVE_GATEWAY",
    "SERVE_SERVICE",
    "SERVE_BASE_PATH",
    "COG_BASE_PATH",
    "ORG_BASE_PATH",
    "SEEDCORE_RAY_FALLBACKS",
    "SEEDCORE_RAY_CONNECT_TIMEOUT_S",
    "SEEDCORE_RAY_PROBE_TIMEOUT_S",
    "SEEDCORE_RAY_INIT_TIMEOUT_S",
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN_PATH",
    "RAY_USE_TLS",
    "RAY_TLS_CA_CERT",
    "RAY_TLS_SERVER_CERT",
    "RAY_TLS_SERVER_KEY",
    "HOME",
    "SEEDCORE_RAY_BREAKER_RESET_S",
    "SEEDCORE_RAY_IMPORT_HOOK",
    "RAY_ENABLE_AUTO_CONNECT",
    "RAY_ENABLE_K8S_TOKEN_AUTH",
];
const FILES: [&str; 3] = [
    "/var/run/secrets/kubernetes.io/serviceaccount/namespace",
    "/token",
    "/root/.ray/auth_token",
];

// One line for each variable: its letter, then its value. Lines are cheap for a fuzzer to shuffle.
fuzz_target!(|text: &str| {
    let mut vars = BTreeMap::from([("RAY_AUTH_TOKEN".to_owned(), SECRET.to_owned())]);
    let mut files = BTreeMap::new();
    let mut argument = None;
    for line in text.lines() {
        let Some(letter) = line.chars().next() else {
            continue;
        };
        let value = line[letter.len_utf8()..].to_owned();
        let at = (letter as usize).wrapping_sub('A' as usize);
        if let Some(name) = VARIABLES.get(at) {
            vars.insert((*name).to_owned(), value);
        } else if let Some(path) = FILES.get(at - VARIABLES.len().min(at)) {
            files.insert((*path).to_owned(), value);
        } else if letter == '!' {
            vars.remove("RAY_AUTH_TOKEN");
        } else {
            argument = Some(value);
        }
    }
    let env = Env::Fixed { vars, files };

    let (settings, bad) = Settings::from_env(&env);
    let most = Duration::from_secs(MAX_SECONDS.into());
    for time in [settings.connect_timeout, settings.probe_timeout, settings.init_timeout] {
        assert!(time <= most);
    }
    assert!(!settings.probe_timeout.is_zero() && !settings.init_timeout.is_zero());
    for each in &bad {
        assert!(!each.message.contains(char::is_control));
    }

    let kubernetes = Kubernetes::from_env(&env);
    for namespace in [NamespaceArg::LeftOut, NamespaceArg::Anonymous, NamespaceArg::Named("n")] {
        if let Ok(target) = Target::resolve(argument.as_deref(), &namespace, &env) {
            let _ = target.fallbacks(&kubernetes);
        }
    }
    // Every other name exists.
    let gateway = Gateway::from_env(&env, |host| host.len() % 2 == 0);
    let target = Target::resolve(argument.as_deref(), &NamespaceArg::LeftOut, &env);
    let mut shown = effective::connection(argument.as_deref(), &target, &env);
    shown.extend(effective::serve(&env, &gateway));
    for one in shown {
        assert!(![&one.value, &one.source].into_iter().any(|text| text.contains(SECRET)));
        assert!(!one.value.contains(char::is_control) && !one.source.contains(char::is_control));
        assert!(one.note.is_none_or(|note| !note.contains(char::is_control)));
    }
    for auto in [false, true] {
        let credentials = Credentials::from_env(&env, auto);
        assert!(!format!("{credentials:?}").contains(SECRET));
    }
});
