//! The text format of OpenMetrics 1.0.

use std::borrow::Cow;
use std::fmt;

use super::{Family, Sample};

/// The families as OpenMetrics 1.0 text, up to `# EOF`.
pub fn text(families: &[Family]) -> String {
    let mut text: String = families.iter().map(Family::to_string).collect();
    text.push_str("# EOF\n");
    text
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, kind, .. } = self;
        writeln!(f, "# TYPE {name} {}", <&str>::from(kind))?;
        if !self.unit.is_empty() {
            writeln!(f, "# UNIT {name} {}", self.unit)?;
        }
        writeln!(f, "# HELP {name} {}", self.help)?;
        for sample in &self.samples {
            writeln!(f, "{name}{sample}")?;
        }
        Ok(())
    }
}

/// Without the family's name. Only labels have to be escaped: help is this library's own text.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.suffix)?;
        for (index, (name, value)) in self.labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(f, "{before}{name}=\"{}\"", escaped(value))?;
        }
        let after = if self.labels.is_empty() { "" } else { "}" };
        write!(f, "{after} {}", self.value)
    }
}

fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return value.into();
    }
    let value = value.replace('\\', r"\\").replace('"', r#"\""#);
    value.replace('\n', r"\n").into()
}
