//! Metrics as text.

use seedcore_ray::exposition::{Family, Sample, Type, families, text};
use seedcore_ray::session::Session;

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
    for family in families(&Session::default()) {
        assert!(family.name.starts_with("seedcore_ray_"), "{family}");
        assert!(!family.samples.is_empty(), "{family}");
        assert_eq!(family.name.ends_with("_seconds"), family.unit == "seconds");
        let ones = family.samples.iter().filter(|sample| sample.value > 0.0);
        let is_one = matches!(family.kind, Type::Info | Type::StateSet);
        assert_eq!(ones.count(), usize::from(is_one), "{family}");
    }
}

/// Help and label values are written as they are.
#[test]
fn nothing_needs_to_be_escaped() {
    for family in families(&Session::default()) {
        let values = family.samples.iter().flat_map(|sample| &sample.labels);
        let texts = values.map(|(_, value)| value.as_ref());
        for text in texts.chain([family.help]) {
            assert!(!text.contains(['\\', '"', '\n']), "{text}");
        }
    }
}
