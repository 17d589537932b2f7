//! The only files that know `PyO3`. This one registers and forwards, nothing else.

mod adoption;
mod args;
mod awaiting;
mod cluster;
mod connect;
mod connection;
mod doctor;
mod ending;
mod errors;
mod events;
mod flight;
mod gateway;
mod held;
mod lazy;
mod lifecycle;
mod logs;
mod making;
mod metrics;
mod monitor;
mod prepare;
mod ray;
mod ready;
mod request;
mod settings;
mod turned_away;
mod wait;

use pyo3::prelude::*;

/// The Rust core of `seedcore_ray`.
#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::awaiting::{Attempt, attempt};
    #[pymodule_export]
    use super::cluster::{
        answers_future, cluster_info, comeback_future, connection_info, is_connected,
        is_ray_available,
    };
    #[pymodule_export]
    use super::connect::{connect, ensure_ray_initialized, shutdown_ray, wait_for_ray_ready};
    #[pymodule_export]
    use super::connection::{Connection, Probe, connection, generation, last_error};
    #[pymodule_export]
    use super::doctor::{effective_settings, examine, look};
    #[pymodule_export]
    use super::events::{Event, take_events};
    #[pymodule_export]
    use super::flight::Flight;
    #[pymodule_export]
    use super::gateway::{gateway_urls, resolve_host, serve_urls};
    #[pymodule_export]
    use super::lazy::{Lazy, lazy};
    #[pymodule_export]
    use super::lifecycle::{_after_fork, _at_exit, _empty};
    #[pymodule_export]
    use super::logs::flush_logs;
    #[pymodule_export]
    use super::making::{Making, making};
    #[pymodule_export]
    use super::metrics::{metrics_families, metrics_text};
    #[pymodule_export]
    use super::monitor::Monitor;
    #[pymodule_export]
    use super::monitor::switch::{start_monitor, stop_monitor};
    #[pymodule_export]
    use super::ready::require_ray;
    #[pymodule_export]
    use super::settings::{init_timeout_s, probe_timeout_s};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::lifecycle::register(module)
    }
}
