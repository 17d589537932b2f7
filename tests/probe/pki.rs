//! A certificate authority for one test, and the files it leaves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use seedcore_ray::probe::{Credentials, TlsFiles};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// A certificate and its key.
pub struct Pair {
    pub cert: Certificate,
    pub key: KeyPair,
}

impl Pair {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.cert.der().clone()]
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

/// A CA that issues what a test asks for.
pub struct Ca {
    pub pair: Pair,
    params: CertificateParams,
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Self {
            pair: Pair { cert, key },
            params,
        }
    }

    pub fn issue(&self, names: &[&str]) -> Pair {
        self.issue_with(&named(names))
    }

    pub fn issue_with(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.pair.key);
        let cert = params.signed_by(&key, &issuer).unwrap();
        Pair { cert, key }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.pair.cert.der().clone()).unwrap();
        roots
    }

    /// A server that shows `pair` and wants clients of this CA, as Ray does.
    pub fn server(&self, pair: &Pair) -> TlsAcceptor {
        let provider = Arc::new(ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()), provider.clone());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(pair.chain(), pair.key_der())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

pub fn named(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

pub fn expired() -> CertificateParams {
    let mut params = named(&["127.0.0.1"]);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    params
}

/// As Ray's own `generate_self_signed_tls_certs`: an IP address, but written as a DNS name.
pub fn ip_as_dns_name() -> CertificateParams {
    let mut params = named(&[]);
    let name = "127.0.0.1".try_into().unwrap();
    params.subject_alt_names = vec![SanType::DnsName(name)];
    params
}

/// A directory with the files that Ray's variables name; removed with its value.
pub struct Files {
    directory: PathBuf,
}

impl Files {
    pub fn write(ca: &Certificate, pair: &Pair) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("seedcore-probe-{}-{count}", std::process::id());
        let files = Self {
            directory: std::env::temp_dir().join(name),
        };
        std::fs::create_dir_all(&files.directory).unwrap();
        files.put("ca.pem", &ca.pem());
        files.put("cert.pem", &pair.cert.pem());
        files.put("key.pem", &pair.key.serialize_pem());
        files
    }

    pub fn put(&self, name: &str, text: &str) {
        std::fs::write(self.directory.join(name), text).unwrap();
    }

    pub fn credentials(&self) -> Credentials {
        let path = |name| Some(self.directory.join(name));
        Credentials {
            tls: Some(TlsFiles {
                cert: path("cert.pem"),
                key: path("key.pem"),
                ca: path("ca.pem"),
            }),
            ..Credentials::default()
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
