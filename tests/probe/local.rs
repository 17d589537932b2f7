//! `auto` with a scripted `/proc`, without one, and with a scripted address file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use seedcore_ray::config::Env;
use seedcore_ray::error::{ConnectError, Kind};
use seedcore_ray::platform::{Linux, Platform, Portable};
use seedcore_ray::probe::local::{self, LocalRay, LocalSource};

/// A `/proc` in which some raylets run; removed with its value.
struct Proc(PathBuf);

impl Proc {
    fn with(raylets: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("seedcore-proc-{}-{count}", std::process::id());
        let root = Self(std::env::temp_dir().join(name));
        root.process("self", "raylet\0--gcs-address=not-a-pid:1\0");
        root.process("1", "python\0--gcs-address=not-a-raylet:1\0");
        std::fs::create_dir_all(root.0.join("2")).unwrap();
        for (pid, address) in raylets.iter().enumerate() {
            let line = format!("/ray/raylet/raylet\0--x=1\0--gcs-address={address}\0");
            root.process(&(pid + 100).to_string(), &line);
        }
        root
    }

    fn process(&self, pid: &str, command_line: &str) {
        std::fs::create_dir_all(self.0.join(pid)).unwrap();
        std::fs::write(self.0.join(pid).join("cmdline"), command_line).unwrap();
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

type Vars<'a> = &'a [(&'a str, &'a str)];

fn env(vars: Vars<'_>, file: Option<(&str, &str)>) -> Env {
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Env::Fixed {
        vars: vars.iter().copied().map(own).collect(),
        files: file.into_iter().map(own).collect::<BTreeMap<_, _>>(),
    }
}

fn find(raylets: &[&str], file: Option<&str>) -> Result<LocalRay, ConnectError> {
    let root = Proc::with(raylets);
    find_on(&Linux::at(&root.0.to_string_lossy()), file)
}

fn find_on(platform: &dyn Platform, file: Option<&str>) -> Result<LocalRay, ConnectError> {
    let file = file.map(|text| ("/tmp/ray/ray_current_cluster", text));
    local::find(platform, &env(&[], file), None)
}

fn shown(found: &LocalRay) -> (String, bool, bool) {
    let address = format!("{}:{}", found.address.host, found.address.port);
    (
        address,
        found.source == LocalSource::Process,
        found.ambiguous,
    )
}

/// Raylets, address file; the address found, whether by process, whether ambiguous.
type Case<'a> = (&'a [&'a str], Option<&'a str>, &'a str, bool, bool);

#[test]
fn who_wins() {
    let file = Some("10.0.0.9:6379");
    let cases: [Case<'_>; 6] = [
        (&["10.0.0.1:6379"], None, "10.0.0.1:6379", true, false),
        (&["10.0.0.1:6379"], file, "10.0.0.1:6379", true, false),
        (
            &["10.0.0.1:6379", "10.0.0.1:6379"],
            file,
            "10.0.0.1:6379",
            true,
            false,
        ),
        (
            &["10.0.0.2:2", "10.0.0.1:1"],
            file,
            "10.0.0.9:6379",
            false,
            true,
        ),
        (
            &["10.0.0.2:2", "10.0.0.1:1"],
            None,
            "10.0.0.1:1",
            true,
            true,
        ),
        (&[], file, "10.0.0.9:6379", false, false),
    ];
    for (raylets, file, address, process, ambiguous) in cases {
        let found = find(raylets, file).unwrap();
        assert_eq!(shown(&found), (address.to_owned(), process, ambiguous));
    }
}

#[test]
fn nothing_runs_here() {
    let root = Proc::with(&[]);
    let empty = Linux::at(&root.0.to_string_lossy());
    let no_proc = Linux::at("/proc/self/no/such/folder");
    let systems: [(&dyn Platform, &str); 3] = [
        (
            &empty,
            "(no raylet process, no /tmp/ray/ray_current_cluster)",
        ),
        (
            &no_proc,
            "(no /tmp/ray/ray_current_cluster; processes are not",
        ),
        (
            &Portable,
            "(no /tmp/ray/ray_current_cluster; processes are not",
        ),
    ];
    for (platform, looked_at) in systems {
        let error = find_on(platform, None).unwrap_err();
        assert_eq!(error.kind, Kind::NoLocalRay);
        assert!(error.hint.contains("ray start --head"));
        assert!(error.message.contains(looked_at), "{}", error.message);
        let error = find_on(platform, Some("nonsense")).unwrap_err();
        assert_eq!(error.kind, Kind::StaleLocalRay);
        assert!(error.message.contains("/tmp/ray/ray_current_cluster"));
    }
}

#[test]
fn where_processes_are_not_listed_the_file_is_what_auto_means() {
    let found = find_on(&Portable, Some("10.0.0.9:6379")).unwrap();
    assert_eq!(shown(&found), ("10.0.0.9:6379".to_owned(), false, false));
}

#[test]
fn the_address_file_is_where_ray_puts_it() {
    let no_proc = Linux::at("/proc/self/no/such/folder");
    let linux: &dyn Platform = &no_proc;
    let both: [&dyn Platform; 2] = [linux, &Portable];
    let all = [("RAY_TMPDIR", "/r"), ("TMPDIR", "/t")];
    for platform in both {
        expect_file(platform, &all, None, "/r/ray/ray_current_cluster");
        expect_file(platform, &[], None, "/tmp/ray/ray_current_cluster");
        expect_file(platform, &all, Some("/mine"), "/mine/ray_current_cluster");
    }
    // macOS sets it for everybody, to a folder with a long name, and Ray leaves it alone there.
    expect_file(linux, &all[1..], None, "/t/ray/ray_current_cluster");
    expect_file(&Portable, &all[1..], None, "/tmp/ray/ray_current_cluster");
}

fn expect_file(platform: &dyn Platform, vars: Vars<'_>, temp_dir: Option<&str>, path: &str) {
    let table = env(vars, Some((path, "1.2.3.4:5")));
    let found = local::find(platform, &table, temp_dir.map(Path::new)).unwrap();
    assert_eq!(found.source, LocalSource::File(path.into()));
}

#[test]
fn a_file_whose_head_is_gone_is_stale() {
    let cause = |kind| ConnectError::new(kind, "10.0.0.9:6379", "10.0.0.9:6379: refused", "hint");
    let from_file = find(&[], Some("10.0.0.9:6379")).unwrap();
    let error = from_file.explain(cause(Kind::Refused));
    assert_eq!(error.kind, Kind::StaleLocalRay);
    assert!(error.message.contains("ray_current_cluster"));
    assert_eq!(from_file.explain(cause(Kind::Auth)).kind, Kind::Auth);
    let from_process = find(&["10.0.0.1:6379"], None).unwrap();
    assert_eq!(
        from_process.explain(cause(Kind::Refused)).kind,
        Kind::Refused
    );
}
