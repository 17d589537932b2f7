//! The only files that know `PyO3`. This one registers and forwards, nothing else.

mod cluster;
mod connect;
mod connection;
mod doctor;
mod events;
mod gateway;
mod interop;
mod lazy;
mod lifecycle;
mod logs;
mod metrics;
mod monitor;
mod pool;
mod ray;
mod settings;

use pyo3::prelude::*;

/// The Rust core of `seedcore_ray`.
#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::cluster::{
        answers_future, cluster_info, connection_info, is_connected, is_ray_available,
        not_lost_future,
    };
    #[pymodule_export]
    use super::connect::reconnect::reconnect;
    #[pymodule_export]
    use super::connect::{
        Attempt, Driver, begin_connect, connect, ensure_ray_initialized, shutdown_ray,
        wait_for_ray_ready,
    };
    #[pymodule_export]
    use super::connection::require::require_ray;
    #[pymodule_export]
    use super::connection::{Connection, Probe, connection, generation, last_error};
    #[pymodule_export]
    use super::doctor::{effective_settings, examine, look};
    #[pymodule_export]
    use super::events::{Event, take_events};
    #[pymodule_export]
    use super::gateway::{gateway_urls, resolve_host, serve_urls};
    #[pymodule_export]
    use super::lazy::build::{Build, begin_build};
    #[pymodule_export]
    use super::lazy::{Lazy, lazy};
    #[pymodule_export]
    use super::lifecycle::{_after_fork, _at_exit, _empty};
    #[pymodule_export]
    use super::logs::flush;
    #[pymodule_export]
    use super::metrics::{metrics_families, metrics_text};
    #[pymodule_export]
    use super::monitor::Monitor;
    #[pymodule_export]
    use super::monitor::guard::{Guard, guard_of};
    #[pymodule_export]
    use super::monitor::start_stop::{start_monitor, stop_monitor};
    #[pymodule_export]
    use super::pool::{Lease, Pool};
    #[pymodule_export]
    use super::settings::{init_timeout_s, probe_timeout_s};

    #[pymodule_export]
    const MAX_SECONDS: u32 = crate::config::MAX_SECONDS;
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("PLATFORM", crate::platform::here().name())?;
        super::lifecycle::register(module)
    }
}
