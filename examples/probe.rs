//! `cargo run --example probe -- ray://127.0.0.1:10001 [seconds]`: the preflight, told like a
//! doctor would.

use std::process::ExitCode;
use std::time::Duration;

use seedcore_ray::address::{HostPort, RayAddress};
use seedcore_ray::config::Env;
use seedcore_ray::error::ConnectError;
use seedcore_ray::probe::{Credentials, Door, Report, cluster_state, local, probe};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "auto".to_owned());
    let seconds = arguments.next().and_then(|text| text.parse().ok());
    let timeout = Duration::from_secs_f64(seconds.unwrap_or(2.0));
    match examine(&address, timeout).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!(
                "\n{}\n  {}\n  hint: {}",
                error.kind, error.message, error.hint
            );
            ExitCode::FAILURE
        }
    }
}

async fn examine(address: &str, timeout: Duration) -> Result<(), ConnectError> {
    let parsed = RayAddress::parse(address)?;
    let auto = parsed == RayAddress::Auto;
    let credentials = Credentials::from_env(&Env::Process, auto);
    let (server, door) = match parsed {
        RayAddress::Auto => (local::find(&Env::Process, None)?.address, Door::Gcs),
        RayAddress::Gcs(server) => (server, Door::Gcs),
        RayAddress::Client(server) => (server, Door::Client),
        RayAddress::Local => {
            println!("local starts a cluster; nothing to probe");
            return Ok(());
        }
    };
    told(probe(&server, door, &credentials, timeout).await)?;
    if door == Door::Gcs {
        resources(&server, &credentials, timeout).await?;
    }
    Ok(())
}

fn told(report: Report) -> Result<(), ConnectError> {
    for step in report.steps {
        let mark = if step.ok { "ok  " } else { "FAIL" };
        println!(
            "{mark} {:<8} {:>9.2?}  {}",
            step.name, step.took, step.detail
        );
    }
    report.result.map(drop)
}

async fn resources(
    server: &HostPort,
    credentials: &Credentials,
    timeout: Duration,
) -> Result<(), ConnectError> {
    let state = cluster_state(server, credentials, timeout).await?;
    println!("     {} nodes alive", state.nodes);
    for (name, total) in &state.total {
        let free = state.available.get(name).unwrap_or(&0.0);
        println!("     {name}: {free} of {total} free");
    }
    Ok(())
}
