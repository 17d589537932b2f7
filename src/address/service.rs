//! Names of the Kubernetes services around a Ray cluster.
//!
//! `KubeRay` gives each run of a `RayService` a new cluster with a head service of its own, such as
//! `seedcore-svc-raycluster-k3x9q-head-svc`. An address with that name is invalid after the run; the
//! services that outlive it have the same base: `seedcore-svc-stable-svc`.

/// Base of this project's own services.
pub const OUR_BASE: &str = "seedcore-svc";

/// The parts of a head service's name: `{base}-head-svc{suffix}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadService<'a> {
    /// The text before `-head-svc`, including a run id.
    pub base: &'a str,
    /// The domain with its leading dot, or nothing.
    pub suffix: &'a str,
}

impl<'a> HeadService<'a> {
    /// Splits `host` if it names a head service.
    pub fn of(host: &'a str) -> Option<Self> {
        let dot = host.find('.').unwrap_or(host.len());
        let (name, suffix) = host.split_at(dot);
        let base = name.strip_suffix("-head-svc")?;
        (!base.is_empty()).then_some(Self { base, suffix })
    }

    /// The base without its run id, a last part of five characters `[a-z0-9]`, or `None` if it has no
    /// such part. A word of that length (`seedcore-train`) looks the same.
    pub fn base_without_run_id(&self) -> Option<&'a str> {
        let (base, id) = self.base.rsplit_once('-')?;
        let is_id = id.len() == 5
            && id
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        is_id.then_some(base)
    }
}

/// The name of a service of `base`; `flavour` is `stable` or `serve`.
pub fn named(base: &str, flavour: &str) -> String {
    format!("{base}-{flavour}-svc")
}

/// The name of a service that resolves everywhere in the Kubernetes cluster.
pub fn in_namespace(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}.svc.cluster.local")
}
