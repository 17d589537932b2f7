//! The core without a Python. One binary, because linking is what takes the time.

use std::collections::BTreeMap;

use seedcore_ray::config::Env;

mod address_properties;
mod addresses;
mod doctor;
mod effective;
mod exposition;
mod gateway;
mod lazy;
mod pool_absence;
mod settings;
mod targets;

/// An environment of exactly these variables and no files.
fn env(vars: &[(&str, &str)]) -> Env {
    env_with_files(vars, &[])
}

/// An environment of exactly these variables and files.
fn env_with_files(vars: &[(&str, &str)], files: &[(&str, &str)]) -> Env {
    Env::Fixed {
        vars: table(vars),
        files: table(files),
    }
}

fn table(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
