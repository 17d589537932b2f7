//! The source of the token. The expectations were measured with the loader of Ray 2.60.

use std::collections::BTreeMap;

use seedcore_ray::config::Env;
use seedcore_ray::error::Kind;
use seedcore_ray::probe::{AuthMode, Credentials, RayPort};

use crate::peer::{Answer, UNAUTHENTICATED, assert_failure, grpc, script};

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn env(vars: Pairs<'_>, files: Pairs<'_>) -> Env {
    let table = |pairs: Pairs<'_>| -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    Env::Fixed {
        vars: table(vars),
        files: table(files),
    }
}

const MODE: (&str, &str) = ("RAY_AUTH_MODE", "token");
const HOME: (&str, &str) = ("HOME", "/h");
const PATH: (&str, &str) = ("RAY_AUTH_TOKEN_PATH", "/t");
const DEFAULT_FILE: (&str, &str) = ("/h/.ray/auth_token", "default\n");

#[test]
fn precedence_is_that_of_ray() {
    let on = ("RAY_AUTH_TOKEN", "  direct ");
    let cases: [(Pairs<'_>, Pairs<'_>, Option<&str>); 9] = [
        (&[MODE, on, PATH], &[("/t", "file")], Some("direct")),
        (
            &[MODE, PATH, HOME],
            &[("/t", " file \nmore"), DEFAULT_FILE],
            Some("file"),
        ),
        // A path that leads nowhere is an error; the default file is not looked at.
        (&[MODE, PATH, HOME], &[DEFAULT_FILE], None),
        (&[MODE, HOME], &[DEFAULT_FILE], Some("default")),
        (&[MODE], &[DEFAULT_FILE], None),
        (&[("RAY_AUTH_MODE", "TOKEN"), on], &[], Some("direct")),
        (&[("RAY_AUTH_MODE", "disabled"), on], &[], None),
        (&[("RAY_AUTH_MODE", "bogus"), on], &[], None),
        (&[on], &[], None),
    ];
    for (vars, files, token) in cases {
        let found = Credentials::from_env(&env(vars, files), false);
        assert_eq!(found.token.as_deref(), token, "{vars:?}");
    }
}

#[test]
fn auto_uses_a_token_that_lies_ready() {
    let table = env(&[HOME], &[DEFAULT_FILE]);
    let explicit = Credentials::from_env(&table, false);
    assert_eq!(explicit.mode, AuthMode::Unset { found: true });
    let auto = Credentials::from_env(&table, true);
    assert_eq!(auto.token.as_deref(), Some("default"));
    let disabled = env(&[HOME, ("RAY_AUTH_MODE", "disabled")], &[DEFAULT_FILE]);
    assert_eq!(Credentials::from_env(&disabled, true).token, None);
}

#[test]
fn tls_files_count_only_when_tls_is_on() {
    let cert = ("RAY_TLS_SERVER_CERT", "/c");
    for (switch, on) in [("1", true), ("True", true), ("0", false), ("yes", false)] {
        let found = Credentials::from_env(&env(&[cert, ("RAY_USE_TLS", switch)], &[]), false);
        assert_eq!(found.tls.is_some(), on, "{switch}");
    }
    assert_eq!(Credentials::from_env(&env(&[cert], &[]), false).tls, None);
}

#[tokio::test]
async fn a_cluster_with_tokens_says_what_is_missing() {
    let peer = grpc(script(|_, _| Answer::Status(UNAUTHENTICATED, ""))).await;
    let cases: [(Pairs<'_>, Pairs<'_>, &str); 5] = [
        (
            &[HOME],
            &[],
            "looked in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, /h/.ray/auth_token",
        ),
        (
            &[HOME],
            &[DEFAULT_FILE],
            "RAY_AUTH_MODE is not set, so Ray sends no token",
        ),
        (
            &[HOME, MODE],
            &[DEFAULT_FILE],
            "refused the token from the file /h/.ray/auth_token",
        ),
        (
            &[HOME, MODE, PATH],
            &[DEFAULT_FILE],
            "/t (RAY_AUTH_TOKEN_PATH, missing or empty)",
        ),
        (&[("RAY_AUTH_MODE", "disabled")], &[], "switches tokens off"),
    ];
    for (vars, files, words) in cases {
        let credentials = Credentials::from_env(&env(vars, files), false);
        let error = peer.failure(RayPort::Client, &credentials).await;
        assert_failure(&error, Kind::Auth, words);
        assert!(error.hint.contains("RAY_AUTH") || error.hint.contains("token"));
    }
}
