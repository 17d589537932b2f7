//! Names of the Kubernetes services around a Ray cluster.
//!
//! `KubeRay` gives each run of a `RayService` a new cluster with a head service of its own, such as
//! `seedcore-svc-raycluster-k3x9q-head-svc`; an address that names one dies with the run. The
//! services that outlive it have the same base: `seedcore-svc-stable-svc`.

/// Base of this project's own services.
pub const OUR_BASE: &str = "seedcore-svc";

/// A head service, taken apart: `{base}-head-svc{suffix}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadService<'a> {
    /// What stands before `-head-svc`, a run id included.
    pub base: &'a str,
    /// The domain with its leading dot, or empty.
    pub suffix: &'a str,
}

impl<'a> HeadService<'a> {
    /// Takes `host` apart, when it names a head service.
    pub fn of(host: &'a str) -> Option<Self> {
        let dot = host.find('.').unwrap_or(host.len());
        let (name, suffix) = host.split_at(dot);
        let base = name.strip_suffix("-head-svc")?;
        (!base.is_empty()).then_some(Self { base, suffix })
    }

    /// The base without its run id: a last part of five characters `[a-z0-9]`. None when it has no
    /// such part. It may be a word all the same (`seedcore-train`): nothing tells them apart.
    pub fn base_without_run_id(&self) -> Option<&'a str> {
        let (base, id) = self.base.rsplit_once('-')?;
        let is_id = id.len() == 5
            && id
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        is_id.then_some(base)
    }
}

/// The service of `base` in a flavour: `stable` or `serve`.
pub fn named(base: &str, flavour: &str) -> String {
    format!("{base}-{flavour}-svc")
}

/// `name` as seen from everywhere in the Kubernetes cluster.
pub fn in_namespace(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}.svc.cluster.local")
}
