//! Settings and surroundings, read from tables.

use std::time::Duration;

use seedcore_ray::address::RayAddress;
use seedcore_ray::config::{Env, Kubernetes, Settings, seconds};

use crate::{env, env_with_files};

const CONNECT: &str = "SEEDCORE_RAY_CONNECT_TIMEOUT_S";
const PROBE: &str = "SEEDCORE_RAY_PROBE_TIMEOUT_S";
const INIT: &str = "SEEDCORE_RAY_INIT_TIMEOUT_S";
const RESET: &str = "SEEDCORE_RAY_BREAKER_RESET_S";
const GUARD: &str = "SEEDCORE_RAY_GUARD_CALLS";
const FALLBACKS: &str = "SEEDCORE_RAY_FALLBACKS";
const STANDBYS: &str = "SEEDCORE_RAY_STANDBY_ADDRESSES";
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

#[test]
fn defaults_are_the_documented_ones() {
    for vars in [
        &[][..],
        &[
            (CONNECT, ""),
            (PROBE, " \t"),
            (INIT, "\n"),
            (RESET, "\r"),
            (FALLBACKS, "  "),
        ],
    ] {
        let (settings, bad) = Settings::from_env(&env(vars));
        assert_eq!(bad, []);
        assert_eq!(settings.connect_timeout, Duration::from_secs(30));
        assert_eq!(settings.probe_timeout, Duration::from_secs(2));
        assert_eq!(settings.init_timeout(None), Duration::from_secs(30));
        assert_eq!(settings.breaker_reset, Duration::from_secs(5));
        assert!(settings.fallbacks && settings.guard_calls && settings.standbys.is_empty());
    }
}

#[test]
fn a_runtime_env_has_time_unless_the_bound_is_explicit() {
    let setup = Some(Duration::from_secs(600));
    let (usual, _) = Settings::from_env(&env(&[]));
    assert_eq!(usual.init_timeout(setup), Duration::from_secs(630));
    let (explicit, _) = Settings::from_env(&env(&[(INIT, "10")]));
    assert_eq!(explicit.init_timeout(setup), Duration::from_secs(10));
}

#[test]
fn each_setting_reads_its_own_variable() {
    let vars = [
        (CONNECT, "1"),
        (PROBE, "3"),
        (INIT, "5"),
        (RESET, "7"),
        (FALLBACKS, "0"),
        (GUARD, "0"),
        (STANDBYS, "ray://blue, green:6379"),
    ];
    let (settings, bad) = Settings::from_env(&env(&vars));
    assert_eq!(bad, []);
    let expected = Settings {
        connect_timeout: Duration::from_secs(1),
        probe_timeout: Duration::from_secs(3),
        init_timeout: Some(Duration::from_secs(5)),
        breaker_reset: Duration::from_secs(7),
        health_interval: Duration::from_secs(5),
        loss_grace: None,
        ray_deadline: None,
        ray_client_grace: Duration::from_secs(30),
        fallbacks: false,
        standbys: addresses(&["ray://blue:10001", "green:6379"]),
        guard_calls: false,
    };
    assert_eq!(settings, expected);
}

fn addresses(texts: &[&str]) -> Vec<RayAddress> {
    let parsed = texts.iter().map(|text| RayAddress::parse(text));
    parsed.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_standby_that_cannot_be_one_is_named_and_left_out() {
    for (text, expected, named) in [
        (" , ,", &[][..], &[][..]),
        (
            "[::1]:6379,,ray://[::1]",
            &["[::1]:6379", "ray://[::1]:10001"],
            &[],
        ),
        ("auto,blue:6379", &["blue:6379"], &["`auto`"]),
        ("local", &[], &["`local`"]),
        ("blue;green", &[], &["`blue;green`"]),
        ("anyscale://prod,blue", &[], &["anyscale", "`blue`"]),
        (
            "ray://me:hush@blue,green:1",
            &["green:1"],
            &["user name or password"],
        ),
    ] {
        let (settings, bad) = Settings::from_env(&env(&[(STANDBYS, text)]));
        assert_eq!(settings.standbys, addresses(expected), "{text:?}");
        assert_eq!(bad.len(), usize::from(!named.is_empty()), "{text:?}");
        for bad in bad {
            assert!(bad.message.starts_with(STANDBYS), "{}", bad.message);
            assert!(!bad.message.contains("hush"), "{}", bad.message);
            for name in named {
                assert!(bad.message.contains(name), "{}", bad.message);
            }
        }
    }
}

#[test]
fn patience_that_nobody_has_set_is_told_from_patience_that_is() {
    let patience = |vars: &[(&str, &str)]| {
        let settings = Settings::from_env(&env(vars)).0;
        (settings.loss_grace, settings.ray_deadline)
    };
    let forty = ("SEEDCORE_RAY_LOSS_GRACE_S", "40");
    let long = ("RAY_gcs_rpc_server_reconnect_timeout_s", "600");
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(patience(&[]), (None, None));
    assert_eq!(patience(&[forty, long]), (seconds(40), seconds(600)));
    assert_eq!(patience(&[(forty.0, "soon")]), (None, None));
}

#[test]
fn seconds_that_can_be_used() {
    for (text, millis) in [
        ("1", 1_000),
        (" 2.5 ", 2_500),
        ("+3", 3_000),
        (".5", 500),
        ("5.", 5_000),
        ("1e2", 100_000),
        ("1E-3", 1),
        ("007", 7_000),
        ("31536000", 31_536_000_000),
    ] {
        for name in [CONNECT, PROBE, INIT, RESET] {
            let (settings, bad) = Settings::from_env(&env(&[(name, text)]));
            assert_eq!(bad, [], "{text:?}");
            assert_eq!(
                pick(&settings, name),
                Duration::from_millis(millis),
                "{name}={text:?}"
            );
        }
    }
    for text in ["0", "0.0", "-0", "0e9", "1e-300"] {
        for name in [CONNECT, RESET] {
            let (settings, bad) = Settings::from_env(&env(&[(name, text)]));
            let zero = pick(&settings, name).is_zero() && bad.is_empty();
            assert!(zero, "{name}={text:?}");
        }
    }
}

#[test]
fn seconds_that_cannot_be_used_are_reported_and_replaced() {
    let garbage = [
        "-1",
        "-0.001",
        "-1e-300",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "infinity",
        "1e400",
        "31536000.1",
        "1e9",
        "1_0",
        "30s",
        "30 s",
        "5,5",
        "1,000",
        "0x10",
        "ten",
        "None",
        "true",
        "--5",
        "1.2.3",
        "1e",
        ".",
        "\u{ff13}",
        "\u{661}",
        "\u{221e}",
        "30\n40",
        "\u{1b}[31m30",
        "$TIMEOUT",
        "'30'",
    ];
    for text in garbage {
        for (name, default) in [(CONNECT, 30), (PROBE, 2), (INIT, 30), (RESET, 5)] {
            let (settings, bad) = Settings::from_env(&env(&[(name, text)]));
            assert_eq!(
                pick(&settings, name),
                Duration::from_secs(default),
                "{name}={text:?}"
            );
            assert_eq!(bad.len(), 1, "{name}={text:?}");
            assert_eq!(bad[0].name, name);
            let message = &bad[0].message;
            let lead = format!("{name}={} cannot be used", text.escape_debug());
            let is_plain = text.chars().all(|c| !c.is_control() && c != '\'');
            assert!(!is_plain || message.starts_with(&lead), "{message}");
            assert!(message.ends_with(&format!("(a year); using the default, {default}")));
            assert!(!message.contains(char::is_control), "{message:?}");
        }
    }
}

#[test]
fn zero_is_one_sweep_or_no_breaker_and_nothing_else() {
    for name in [PROBE, INIT] {
        for text in ["0", "0.0", "-0.0", "1e-300"] {
            let (settings, bad) = Settings::from_env(&env(&[(name, text)]));
            assert!(pick(&settings, name) > Duration::ZERO);
            assert_eq!(bad.len(), 1, "{name}={text}");
            assert!(
                bad[0].message.contains("seconds above 0 to 31536000"),
                "{:?}",
                bad[0]
            );
        }
    }
    let (_, bad) = Settings::from_env(&env(&[(CONNECT, "-1")]));
    assert!(
        bad[0].message.contains("seconds from 0 to 31536000"),
        "{:?}",
        bad[0]
    );
}

#[test]
fn every_bad_setting_is_reported() {
    let vars = [
        (CONNECT, "a"),
        (PROBE, "b"),
        (INIT, "c"),
        (RESET, "d"),
        (FALLBACKS, "e"),
    ];
    let (_, bad) = Settings::from_env(&env(&vars));
    let names: Vec<_> = bad.iter().map(|setting| setting.name).collect();
    assert_eq!(names, [CONNECT, PROBE, INIT, RESET, FALLBACKS]);
}

#[test]
fn long_values_do_not_flood_the_log() {
    let (_, bad) = Settings::from_env(&env(&[(CONNECT, &"9".repeat(10_000))]));
    assert!(bad[0].message.len() < 400, "{}", bad[0].message.len());
}

#[test]
fn the_switch_is_on_unless_it_says_no() {
    for (text, on, reports) in [
        ("0", false, 0),
        ("false", false, 0),
        ("FALSE", false, 0),
        (" no ", false, 0),
        ("Off", false, 0),
        ("1", true, 0),
        ("true", true, 0),
        ("Yes", true, 0),
        ("on", true, 0),
        ("2", true, 1),
        ("00", true, 1),
        ("disabled", true, 1),
        ("n\u{f6}", true, 1),
    ] {
        let (settings, bad) = Settings::from_env(&env(&[(FALLBACKS, text)]));
        assert_eq!((settings.fallbacks, bad.len()), (on, reports), "{text:?}");
    }
    let (_, bad) = Settings::from_env(&env(&[(FALLBACKS, "disabled")]));
    let expected =
        format!("{FALLBACKS}=disabled cannot be used: give 0 or 1; using the default, 1");
    assert_eq!(bad[0].message, expected);
}

#[test]
fn an_argument_follows_the_same_rules() {
    let name = "connect_timeout_s";
    assert_eq!(seconds(2.5, name, true), Ok(Duration::from_millis(2500)));
    assert_eq!(seconds(0.0, name, true), Ok(Duration::ZERO));
    for (value, allow_zero, shown) in [
        (-1.0, true, "connect_timeout_s=-1 "),
        (f64::NAN, true, "connect_timeout_s=NaN "),
        (f64::INFINITY, true, "connect_timeout_s=inf "),
        (f64::NEG_INFINITY, true, "connect_timeout_s=-inf "),
        (31_536_001.0, true, "connect_timeout_s=31536001 "),
        (0.0, false, "connect_timeout_s=0 "),
        (1e-12, false, "connect_timeout_s=0.000000000001 "),
    ] {
        let refusal = seconds(value, name, allow_zero).expect_err(shown);
        assert!(refusal.starts_with(shown), "{refusal}");
        assert!(refusal.contains("31536000 (a year)"), "{refusal}");
    }
}

fn pick(settings: &Settings, name: &str) -> Duration {
    match name {
        CONNECT => settings.connect_timeout,
        PROBE => settings.probe_timeout,
        RESET => settings.breaker_reset,
        _ => settings.init_timeout(None),
    }
}

#[test]
fn the_first_namespace_wins() {
    let all = [("POD_NAMESPACE", "pod"), ("SEEDCORE_NS", "seed")];
    let file = [(NAMESPACE_FILE, "file\n")];
    let namespace = |vars: &[(&str, &str)], files: &[(&str, &str)]| {
        Kubernetes::from_env(&env_with_files(vars, files)).namespace
    };
    assert_eq!(namespace(&all, &file).as_deref(), Some("pod"));
    assert_eq!(namespace(&all[1..], &file).as_deref(), Some("seed"));
    assert_eq!(namespace(&[], &file).as_deref(), Some("file"));
    assert_eq!(namespace(&[], &[]), None);
    assert_eq!(
        namespace(&[("POD_NAMESPACE", " "), all[1]], &[]).as_deref(),
        Some("seed")
    );
    assert_eq!(namespace(&[("RAY_NAMESPACE", "ray")], &[]), None);
}

#[test]
fn a_namespace_that_is_no_name_is_passed_over() {
    let long = "a".repeat(64);
    for odd in [
        "has space",
        "a/b",
        "a.b",
        "a:b",
        "-a",
        "n\u{e4}me",
        "a\nb",
        long.as_str(),
    ] {
        let vars = [("POD_NAMESPACE", odd), ("SEEDCORE_NS", "good")];
        let found = Kubernetes::from_env(&env(&vars)).namespace;
        assert_eq!(found.as_deref(), Some("good"), "{odd:?}");
    }
}

#[test]
fn inside_kubernetes_means_really_inside() {
    let inside = |vars: &[(&str, &str)], files: &[(&str, &str)]| {
        Kubernetes::from_env(&env_with_files(vars, files)).inside
    };
    assert!(inside(&[("KUBERNETES_SERVICE_HOST", "10.96.0.1")], &[]));
    assert!(inside(&[], &[(NAMESPACE_FILE, "default")]));
    // A namespace alone is what developers export at their desks.
    assert!(!inside(
        &[("POD_NAMESPACE", "dev"), ("SEEDCORE_NS", "dev")],
        &[]
    ));
    assert!(!inside(&[("KUBERNETES_SERVICE_HOST", " ")], &[]));
}

#[test]
fn kuberay_marks_its_pods() {
    for mark in [
        "RAY_CLUSTER_NAME",
        "RAY_NODE_TYPE_NAME",
        "KUBERAY_GEN_RAY_START_CMD",
        "RAY_USAGE_STATS_KUBERAY_IN_USE",
    ] {
        assert!(Kubernetes::from_env(&env(&[(mark, "x")])).ray_pod, "{mark}");
        assert!(!Kubernetes::from_env(&env(&[(mark, "")])).ray_pod, "{mark}");
    }
    let client = [
        ("RAY_ADDRESS", "ray://h"),
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
    ];
    assert!(!Kubernetes::from_env(&env(&client)).ray_pod);
}

#[test]
fn files_are_small_regular_and_trimmed() {
    let dir = std::env::temp_dir().join(format!("seedcore-ray-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("temporary directory");
    let content_of = |bytes: &[u8]| {
        let path = dir.join("file");
        std::fs::write(&path, bytes).expect("temporary file");
        Env::Process.file(&path.to_string_lossy())
    };
    assert_eq!(content_of(b" default\n").as_deref(), Some("default"));
    assert_eq!(content_of(b"\xffx").as_deref(), Some("\u{fffd}x"));
    assert_eq!(content_of(b" \n"), None);
    assert_eq!(
        content_of(&b"a".repeat(65_536)).map(|text| text.len()),
        Some(65_536)
    );
    assert_eq!(content_of(&b"a".repeat(65_537)), None);
    assert_eq!(Env::Process.file(&dir.to_string_lossy()), None);
    assert_eq!(Env::Process.file(&dir.join("none").to_string_lossy()), None);
    assert_eq!(Env::Process.file("a\0b"), None);
    std::fs::remove_dir_all(&dir).expect("temporary directory");
}

#[test]
fn a_snapshot_reads_real_files_and_a_table_stays_itself() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let found = Env::Process.snapshot().file(manifest);
    assert!(found.is_some_and(|text| text.starts_with("[package]")));
    let table = env_with_files(&[("A", "1")], &[("/f", "2")]).snapshot();
    assert_eq!(table.get("A").as_deref(), Some("1"));
    assert_eq!(table.file("/f").as_deref(), Some("2"));
    assert_eq!(table.file(manifest), None);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let path = std::env::temp_dir().join(format!("seedcore-ray-pipe-{}", std::process::id()));
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo").success());
    let (answer, answered) = std::sync::mpsc::channel();
    let name = path.to_string_lossy().into_owned();
    std::thread::spawn(move || answer.send(Env::Process.file(&name)));
    let found = answered.recv_timeout(Duration::from_secs(10));
    std::fs::remove_file(&path).expect("the pipe");
    assert_eq!(found, Ok(None));
}

/// Runs itself again with variables that this process cannot set without unsafe code.
#[cfg(unix)]
#[test]
fn the_process_environment_is_trimmed_and_lossy() {
    use std::os::unix::ffi::OsStrExt;

    if Env::Process.get("SEEDCORE_TEST_CHILD").is_none() {
        let test = std::env::current_exe().expect("this binary");
        let output = std::process::Command::new(test)
            .args([
                "--exact",
                "settings::the_process_environment_is_trimmed_and_lossy",
            ])
            .env("SEEDCORE_TEST_CHILD", "1")
            .env("SEEDCORE_TEST_TRIMMED", " x \n")
            .env("SEEDCORE_TEST_BLANK", " \t")
            .env("SEEDCORE_TEST_BYTES", std::ffi::OsStr::from_bytes(b"a\xff"))
            .output()
            .expect("a child");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    for env in [Env::Process, Env::Process.snapshot()] {
        assert_eq!(env.get("SEEDCORE_TEST_TRIMMED").as_deref(), Some("x"));
        assert_eq!(env.get("SEEDCORE_TEST_BLANK"), None);
        assert_eq!(env.get("SEEDCORE_TEST_BYTES").as_deref(), Some("a\u{fffd}"));
        assert_eq!(env.get("SEEDCORE_TEST_NONE"), None);
        assert_eq!(env.get("a=b\0c"), None);
    }
}
