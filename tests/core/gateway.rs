//! Serve URLs: every rule of the contract, with a scripted resolver.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use seedcore_ray::gateway::{Gateway, lookup, normalise, serve_urls};

use seedcore_ray::config::Env;

use crate::{env, env_with_files};

const LOCAL: &str = "http://127.0.0.1:8000";

/// Knows these names, and remembers which it was asked for.
struct Names {
    known: &'static [&'static str],
    asked: RefCell<Vec<String>>,
}

impl Names {
    fn new(known: &'static [&'static str]) -> Self {
        Self {
            known,
            asked: RefCell::default(),
        }
    }

    /// The URLs of this environment.
    fn urls(&self, env: &Env) -> Gateway {
        Gateway::from_env(env, |host| {
            self.asked.borrow_mut().push(host.to_owned());
            self.known.contains(&host)
        })
    }
}

fn gateway(vars: &[(&str, &str)], known: &'static [&'static str]) -> String {
    Names::new(known).urls(&env(vars)).serve_gateway
}

/// Written for a gateway, understood as.
const NORMALISED: &[(&str, &str)] = &[
    ("", LOCAL),
    ("  \n", LOCAL),
    ("h", "http://h:8000"),
    (" h ", "http://h:8000"),
    ("h:9000", "http://h:9000"),
    (
        "h.ns.svc.cluster.local",
        "http://h.ns.svc.cluster.local:8000",
    ),
    ("my_gateway", "http://my_gateway:8000"),
    ("10.0.0.1", "http://10.0.0.1:8000"),
    ("10.0.0.1:80", "http://10.0.0.1:80"),
    ("http://h", "http://h:8000"),
    ("http://h:80", "http://h:80"),
    ("https://h:443", "https://h:443"),
    ("https://h", "https://h:8000"),
    ("HTTPS://h:443", "https://h:443"),
    ("http://Host:1", "http://Host:1"),
    ("ray://h", "http://h:8000"),
    ("ray://h:9000", "http://h:9000"),
    ("ray://http://h:9000", "http://h:9000"),
    ("//h:9000", "http://h:9000"),
    ("h/", "http://h:8000"),
    ("http://h:9000/", "http://h:9000"),
    ("http://h:9000/ml/x", "http://h:9000"),
    ("http://h:9000?x=1", "http://h:9000"),
    ("http://h:9000#x", "http://h:9000"),
    ("http://h?next=http://i/", "http://h:8000"),
    ("h/x://y", "http://h:8000"),
    ("http://u:p@h:9000", "http://h:9000"),
    ("http://u:p@w@h:9000/x@y", "http://h:9000"),
    ("u@h", "http://h:8000"),
    ("http://h:", "http://h:8000"),
    ("http://h:0", "http://h:8000"),
    ("http://h:65536", "http://h:8000"),
    ("http://h:http", "http://h:8000"),
    ("http://[::1]", "http://[::1]:8000"),
    ("http://[::1]:9000/x", "http://[::1]:9000"),
    ("[fd00::1]:9000", "http://[fd00::1]:9000"),
    ("[fd00::1]", "http://[fd00::1]:8000"),
    ("fd00::1", "http://[fd00::1]:8000"),
    ("ray://[fd00::1]:9000", "http://[fd00::1]:9000"),
    ("u:p@[::1]:9000", "http://[::1]:9000"),
    ("b\u{fc}cher.example", "http://b\u{fc}cher.example:8000"),
    ("http://", LOCAL),
    ("ray://", LOCAL),
    ("http://:9000", LOCAL),
    ("[::1", LOCAL),
    ("a b:9000", LOCAL),
    ("h\r\nX: y", LOCAL),
    ("http://h\u{1b}", LOCAL),
    ("${GATEWAY}", LOCAL),
];

#[test]
fn gateways_are_normalised() {
    for &(text, expected) in NORMALISED {
        assert_eq!(normalise(text), expected, "{text:?}");
    }
}

#[test]
fn a_gateway_that_is_set_is_used_without_asking_anybody() {
    let names = Names::new(&[]);
    let vars = [
        ("SERVE_GATEWAY", " gw:9000/x "),
        ("RAY_ADDRESS", "ray://x-head-svc"),
        ("POD_NAMESPACE", "dev"),
    ];
    let found = names.urls(&env(&vars));
    assert_eq!(found.serve_gateway, "http://gw:9000");
    assert_eq!(found.ml, "http://gw:9000/ml");
    assert_eq!(found.cog, "http://gw:9000/cognitive");
    assert_eq!(found.org, "http://gw:9000/organism");
    assert!(names.asked.borrow().is_empty());
}

#[test]
fn without_any_host_it_is_this_machine_or_the_stable_service() {
    let dev = ("POD_NAMESPACE", "dev");
    let stable = "http://seedcore-svc-stable-svc.dev.svc.cluster.local:8000";
    let serve = "http://seedcore-svc-serve-svc.dev.svc.cluster.local:8000";
    for (vars, expected) in [
        (&[][..], LOCAL),
        (&[("SERVE_GATEWAY", " ")], LOCAL),
        (&[("SERVE_SERVICE", "serve")], LOCAL),
        (&[("RAY_ADDRESS", "auto")], LOCAL),
        (&[("RAY_ADDRESS", "local")], LOCAL),
        (&[("RAY_ADDRESS", "not an address")], LOCAL),
        (&[dev], stable),
        (&[("SEEDCORE_NS", "dev")], stable),
        (&[dev, ("RAY_ADDRESS", "auto")], stable),
        (&[dev, ("RAY_ADDRESS", "local")], stable),
        (&[dev, ("RAY_ADDRESS", "not an address")], stable),
        (&[dev, ("SERVE_SERVICE", "stable")], stable),
        (&[dev, ("SERVE_SERVICE", " serve ")], serve),
        (&[dev, ("SERVE_SERVICE", "head")], stable),
        (&[dev, ("SERVE_SERVICE", "SERVE")], stable),
    ] {
        assert_eq!(gateway(vars, &[]), expected, "{vars:?}");
    }
    let file = [(
        "/var/run/secrets/kubernetes.io/serviceaccount/namespace",
        "dev\n",
    )];
    let found = Names::new(&[]).urls(&env_with_files(&[], &file));
    assert_eq!(found.serve_gateway, stable);
}

#[test]
fn a_ray_on_this_machine_has_its_serve_here() {
    for address in [
        "127.0.0.1:6379",
        "ray://127.8.9.1",
        "localhost:6379",
        "ray://LOCALHOST",
        "ray://localhost.",
        "[::1]:6379",
        "[::ffff:127.0.0.1]:6379",
        "0.0.0.0:6379",
        "http://127.0.0.1:8265",
    ] {
        let names = Names::new(&[]);
        let vars = [("RAY_ADDRESS", address), ("POD_NAMESPACE", "dev")];
        assert_eq!(names.urls(&env(&vars)).serve_gateway, LOCAL, "{address}");
        assert!(names.asked.borrow().is_empty(), "{address}");
    }
}

/// `RAY_ADDRESS`, Kubernetes namespace, flavour; then the names asked for, in order.
const LOOK_UPS: &[(&str, &str, &str, &[&str])] = &[
    ("ray://h", "", "", &["h"]),
    ("h:6379", "dev", "", &["h.dev.svc.cluster.local"]),
    ("h.example:6379", "dev", "", &["h.example"]),
    ("10.0.0.1:6379", "dev", "", &["10.0.0.1"]),
    ("[fd00::1]:6379", "dev", "", &["fd00::1"]),
    (
        "ray://x-head-svc",
        "",
        "",
        &["x-stable-svc", "x-serve-svc", "x-head-svc"],
    ),
    (
        "ray://x-head-svc",
        "",
        "serve",
        &["x-serve-svc", "x-stable-svc", "x-head-svc"],
    ),
    (
        "ray://x-k3x9q-head-svc",
        "",
        "",
        &["x-stable-svc", "x-serve-svc", "x-k3x9q-head-svc"],
    ),
    (
        "ray://x-head-svc",
        "dev",
        "",
        &[
            "x-stable-svc.dev.svc.cluster.local",
            "x-serve-svc.dev.svc.cluster.local",
            "x-head-svc.dev.svc.cluster.local",
        ],
    ),
    (
        "ray://x-k3x9q-head-svc.prod",
        "dev",
        "serve",
        &[
            "x-serve-svc.prod",
            "x-stable-svc.prod",
            "x-k3x9q-head-svc.prod",
        ],
    ),
    ("http://h:8265", "", "", &["h"]),
    ("ray://x-stable-svc", "", "serve", &["x-stable-svc"]),
];

#[test]
fn names_near_ray_are_asked_for_by_priority() {
    for &(address, namespace, flavour, expected) in LOOK_UPS {
        let vars = [
            ("RAY_ADDRESS", address),
            ("POD_NAMESPACE", namespace),
            ("SERVE_SERVICE", flavour),
        ];
        let names = Names::new(&[]);
        let found = names.urls(&env(&vars)).serve_gateway;
        assert_eq!(*names.asked.borrow(), expected, "{vars:?}");
        // None of them resolved.
        let flavour = if flavour.is_empty() {
            "stable"
        } else {
            flavour
        };
        let last_resort = match namespace {
            "" => LOCAL.to_owned(),
            _ => format!("http://seedcore-svc-{flavour}-svc.{namespace}.svc.cluster.local:8000"),
        };
        assert_eq!(found, last_resort, "{vars:?}");
    }
}

#[test]
fn the_first_name_that_resolves_is_used() {
    let address = ("RAY_ADDRESS", "ray://x-k3x9q-head-svc:10001");
    let dev = ("POD_NAMESPACE", "dev");
    let all = &["x-stable-svc", "x-serve-svc", "x-k3x9q-head-svc"];
    assert_eq!(gateway(&[address], all), "http://x-stable-svc:8000");
    assert_eq!(
        gateway(&[address, ("SERVE_SERVICE", "serve")], all),
        "http://x-serve-svc:8000"
    );
    assert_eq!(gateway(&[address], &all[1..]), "http://x-serve-svc:8000");
    assert_eq!(
        gateway(&[address], &all[2..]),
        "http://x-k3x9q-head-svc:8000"
    );
    let qualified = &["x-serve-svc.dev.svc.cluster.local"];
    let expected = "http://x-serve-svc.dev.svc.cluster.local:8000";
    assert_eq!(gateway(&[address, dev], qualified), expected);
    let ipv6 = gateway(&[("RAY_ADDRESS", "ray://[fd00::1]"), dev], &["fd00::1"]);
    assert_eq!(ipv6, "http://[fd00::1]:8000");
}

#[test]
fn paths_have_one_leading_slash_and_none_at_the_end() {
    for (given, path) in [
        ("/ml", "/ml"),
        ("v2", "/v2"),
        (" /v2/ ", "/v2"),
        ("v2///", "/v2"),
        ("//v2", "/v2"),
        ("/a/b/", "/a/b"),
        ("/", ""),
    ] {
        for variable in ["SERVE_BASE_PATH", "COG_BASE_PATH", "ORG_BASE_PATH"] {
            let found = Names::new(&[]).urls(&env(&[(variable, given)]));
            let url = format!("{LOCAL}{path}");
            let expected = match variable {
                "SERVE_BASE_PATH" => [
                    url,
                    format!("{LOCAL}/cognitive"),
                    format!("{LOCAL}/organism"),
                ],
                "COG_BASE_PATH" => [format!("{LOCAL}/ml"), url, format!("{LOCAL}/organism")],
                _ => [format!("{LOCAL}/ml"), format!("{LOCAL}/cognitive"), url],
            };
            assert_eq!(
                [found.ml, found.cog, found.org],
                expected,
                "{variable}={given:?}"
            );
        }
    }
    let blank = Names::new(&[]).urls(&env(&[("SERVE_BASE_PATH", " ")]));
    assert_eq!(blank.ml, format!("{LOCAL}/ml"));
}

#[test]
fn serve_urls_in_order() {
    let env = env(&[("SERVE_GATEWAY", "not asked"), ("COG_BASE_PATH", "/think/")]);
    let urls = |base, ml, cog| serve_urls(base, ml, cog, &env).map(|(_, url)| url);
    let keys = serve_urls("gw", None, None, &env).map(|(key, _)| key);
    let expected = [
        "gateway",
        "ml_root",
        "ml_health",
        "ml_salience",
        "cog_root",
        "cog_health",
    ];
    assert_eq!(keys, expected);
    let expected = [
        "http://gw:8000",
        "http://gw:8000/ml/",
        "http://gw:8000/ml/health",
        "http://gw:8000/ml/score/salience",
        "http://gw:8000/think/",
        "http://gw:8000/think/health",
    ];
    assert_eq!(urls("gw", None, None), expected);
    assert_eq!(urls(" gw ", Some(""), Some("\t")), expected);
    let expected = [
        "https://other:1",
        "https://other:1/v2/",
        "https://other:1/v2/health",
        "https://other:1/v2/score/salience",
        "https://other:1/",
        "https://other:1/health",
    ];
    assert_eq!(
        urls("https://u:p@other:1/x", Some("v2/"), Some("/")),
        expected
    );
    assert_eq!(
        urls("other", None, None)[5],
        "http://other:8000/think/health"
    );
}

#[test]
fn the_system_resolver_knows_literals_and_localhost() {
    let began = Instant::now();
    for (host, expected) in [
        ("127.0.0.1", true),
        ("::1", true),
        ("203.0.113.1", true),
        ("localhost", true),
        ("", false),
        ("no-such-name.invalid", false),
        ("a b", false),
        ("a\0b", false),
    ] {
        assert_eq!(lookup(host).is_some(), expected, "{host:?}");
    }
    // Five of them are asked for, each bounded by 0.4 s.
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
}

proptest! {
    #[test]
    fn a_normalised_gateway_is_a_url_and_stays_one(text in any::<String>()) {
        check_url(&normalise(&text))?;
    }

    #[test]
    fn the_same_for_text_that_looks_like_one(
        text in "(ray://|http://|HTTPS://|x:/)?([a-z]{0,4}:?[a-z@]{0,4}@)?\
                 (\\[?[0-9a-f:]{2,9}\\]?|[a-z.-]{0,9})(:[0-9]{0,6})?[/?#@: ]?[a-z:@/]{0,5}",
    ) {
        check_url(&normalise(&text))?;
    }

    #[test]
    fn user_info_path_and_query_leave_no_trace(
        scheme in prop_oneof!["", "http://", "https://", "ray://"],
        noise in "[A-Z:@!%]{0,6}",
        tail in "[/?#][A-Z@:/]{0,6}",
        host in "[a-z]{1,9}",
        port in 1..=u16::MAX,
    ) {
        let kept = if scheme == "https://" { "https" } else { "http" };
        let found = normalise(&format!("{scheme}S3CRET{noise}@{host}:{port}{tail}"));
        prop_assert_eq!(found, format!("{kept}://{host}:{port}"));
    }
}

/// `scheme://host:port` and nothing else.
fn check_url(url: &str) -> Result<(), TestCaseError> {
    prop_assert_eq!(normalise(url), url, "not stable");
    let (_, authority) = url.split_once("://").unwrap_or_default();
    let (host, port) = authority.rsplit_once(':').unwrap_or_default();
    prop_assert!(port.parse::<u16>().is_ok_and(|port| port > 0), "{}", url);
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "@/?#".contains(c);
    prop_assert!(!host.is_empty() && !host.contains(is_odd), "{}", url);
    Ok(())
}
