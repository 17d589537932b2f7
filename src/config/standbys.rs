//! The setting that names other clusters.

use super::{BadSetting, Env, Reading, Source, Value};
use crate::address::RayAddress;

/// Addresses in a list, separated by commas. One that cannot be used is reported and left out: the
/// others are needed the more.
pub(super) fn read(
    env: &Env,
    name: &'static str,
    tell: &mut impl FnMut(Reading),
) -> Vec<RayAddress> {
    let given = env.get(name);
    let parts = given.iter().flat_map(|text| text.split(','));
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    let (mut addresses, mut refusals) = (Vec::new(), Vec::new());
    for part in parts {
        match standby(part) {
            Ok(address) => addresses.push(address),
            Err(refusal) => refusals.push(refusal),
        }
    }
    tell(Reading {
        name,
        value: Value::Addresses(addresses.clone()),
        source: given.map_or(Source::Default, |_| Source::Env(name)),
        bad: (!refusals.is_empty()).then(|| BadSetting {
            name,
            message: format!("{name}: {} Leaving that out.", refusals.join(" ")),
        }),
    });
    addresses
}

/// What another cluster can be: something on the network that answers a probe.
fn standby(text: &str) -> Result<RayAddress, String> {
    match RayAddress::parse(text) {
        Ok(address @ (RayAddress::Gcs(_) | RayAddress::Client(_))) => Ok(address),
        Ok(address) => Err(format!(
            "`{address}` cannot be a standby: it names no server. Give `host:port` or \
             `ray://host[:port]`."
        )),
        Err(error) => Err(error.message),
    }
}
