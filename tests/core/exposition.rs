//! Metrics as text.

use std::sync::Arc;
use std::time::Duration;

use seedcore_ray::exposition::{Family, Sample, Type, families, text};
use seedcore_ray::pool::{LendError, Lending, Pool};
use seedcore_ray::session::Session;
use tokio::time::Instant;

use crate::pool_absence::{next, pool};

#[test]
fn a_family_as_text() {
    let bucket = |bound: &'static str, value| Sample {
        suffix: "_bucket",
        labels: vec![("outcome", "failed".into()), ("le", bound.into())],
        value,
    };
    let sum = Sample {
        suffix: "_sum",
        labels: vec![],
        value: 0.25,
    };
    let family = Family {
        name: "seedcore_ray_naps_seconds",
        kind: Type::Histogram,
        help: "How long naps took.",
        unit: "seconds",
        samples: vec![bucket("1.0", 2.0), bucket("+Inf", 3.0), sum],
    };
    assert_eq!(
        text(&[family]),
        "# TYPE seedcore_ray_naps_seconds histogram\n\
         # UNIT seedcore_ray_naps_seconds seconds\n\
         # HELP seedcore_ray_naps_seconds How long naps took.\n\
         seedcore_ray_naps_seconds_bucket{outcome=\"failed\",le=\"1.0\"} 2\n\
         seedcore_ray_naps_seconds_bucket{outcome=\"failed\",le=\"+Inf\"} 3\n\
         seedcore_ray_naps_seconds_sum 0.25\n\
         # EOF\n"
    );
}

#[test]
fn everything_is_there_before_anything_happened() {
    for family in families(&Session::default(), &[]) {
        assert!(family.name.starts_with("seedcore_ray_"), "{family}");
        let is_of_pools = family.name.starts_with("seedcore_ray_pool_");
        assert_eq!(family.samples.is_empty(), is_of_pools, "{family}");
        assert_eq!(family.name.ends_with("_seconds"), family.unit == "seconds");
        let ones = family.samples.iter().filter(|sample| sample.value > 0.0);
        let is_one = matches!(family.kind, Type::Info | Type::StateSet);
        assert_eq!(ones.count(), usize::from(is_one), "{family}");
    }
}

/// Help and label values of our own are written as they are.
#[test]
fn nothing_needs_to_be_escaped() {
    for family in families(&Session::default(), &[]) {
        let values = family.samples.iter().flat_map(|sample| &sample.labels);
        let texts = values.map(|(_, value)| value.as_ref());
        for text in texts.chain([family.help]) {
            assert!(!text.contains(['\\', '"', '\n']), "{text}");
        }
    }
}

/// The samples of the pools that are not zero, as they are written.
fn of_pools(process: &Session, pools: &[Arc<Pool>]) -> Vec<String> {
    let all = text(&families(process, pools));
    let lines = all.lines().filter(|line| !line.ends_with(" 0"));
    lines
        .filter_map(|line| line.strip_prefix("seedcore_ray_pool_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_pool_has_counted() {
    let process = Arc::new(Session::default());
    let pool = pool(&process, "a", 1, 1);
    let member = next(&pool).await;
    pool.up(&member);
    let Ok(Lending::Now(lease)) = pool.lend() else {
        panic!("it is free")
    };
    let Ok(Lending::Later(waiter)) = pool.lend() else {
        panic!("it is in use")
    };
    assert!(matches!(pool.lend(), Err(LendError::Full(_))));
    let shown = of_pools(&process, std::slice::from_ref(&pool));
    let now = [
        "connections{pool=\"a\",state=\"in_use\"} 1",
        "min_connections{pool=\"a\"} 1",
        "max_connections{pool=\"a\"} 1",
        "waiting{pool=\"a\"} 1",
        "requests_total{pool=\"a\",outcome=\"at_once\"} 1",
        "requests_total{pool=\"a\",outcome=\"queued\"} 1",
        "requests_total{pool=\"a\",outcome=\"refused\"} 1",
    ];
    assert_eq!(shown, now);

    let until = Instant::now() + Duration::from_secs(2);
    assert!(waiter.wait(until).await.is_err());
    drop(lease);
    let shown = of_pools(&process, &[pool]);
    for line in [
        "connections{pool=\"a\",state=\"idle\"} 1",
        "timeouts_total{pool=\"a\"} 1",
    ] {
        assert!(shown.contains(&line.to_owned()), "{line}: {shown:#?}");
    }
    // The clock stops at whole milliseconds, beyond the two seconds.
    for name in ["wait_seconds_total", "usage_seconds_total"] {
        let start = format!("{name}{{pool=\"a\"}} 2");
        assert!(
            shown.iter().any(|line| line.starts_with(&start)),
            "{shown:#?}"
        );
    }
}

/// The default name is the address, and two pools may lead there.
#[test]
fn pools_of_one_name_are_added_up_and_names_are_escaped() {
    let process = Arc::new(Session::default());
    let pools = [
        pool(&process, "same", 1, 2),
        pool(&process, "same", 1, 3),
        pool(&process, "a\\b\"c\nd", 1, 4),
    ];
    let shown = of_pools(&process, &pools);
    let sizes: Vec<_> = shown
        .iter()
        .filter(|line| line.starts_with("max"))
        .collect();
    assert_eq!(
        sizes,
        [
            r#"max_connections{pool="a\\b\"c\nd"} 4"#,
            r#"max_connections{pool="same"} 5"#,
        ]
    );
}
