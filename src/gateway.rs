//! Serve URLs (contract, section 5). Pure but for one injected resolver.

use crate::config::Env;

/// Answers whether a name resolves. The real one is bounded by 0.4 s whatever the system does.
pub trait Resolver {
    /// True when `host` has an address.
    fn resolves(&self, host: &str) -> bool;
}

/// The four URLs of the facade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// `SERVE_GATEWAY`
    pub serve_gateway: String,
    /// `ML`
    pub ml: String,
    /// `COG`
    pub cog: String,
    /// `ORG`
    pub org: String,
}

impl Gateway {
    /// Computes the URLs from the environment.
    pub fn from_env(_env: &Env, _resolver: &dyn Resolver) -> Self {
        todo!()
    }
}
