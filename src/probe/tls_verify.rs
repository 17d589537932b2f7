//! Verifies a server's certificate by webpki's rules, with the two exceptions that gRPC makes.
//! Without them, this preflight would refuse clusters that Ray connects to.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, OtherError,
    RootCertStore, SignatureScheme, WantsVerifier,
};
use tokio_rustls::rustls;

use super::x509::Names;

/// Starts a client configuration with ring. The process-wide default provider is neither read nor set.
pub(super) fn config_builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, Error> {
    let provider = Arc::new(ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

/// The error for a valid certificate that names other hosts.
#[derive(Debug)]
pub(super) struct Mismatch {
    /// The names in the certificate, for messages.
    pub names: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "issued for {}", self.names)
    }
}

impl std::error::Error for Mismatch {}

/// A verifier that trusts the cluster's CA and nothing else.
#[derive(Debug)]
pub(super) struct Verifier {
    roots: RootCertStore,
    pinned: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// Trusts `authorities`, the content of `RAY_TLS_CA_CERT`.
    ///
    /// # Errors
    /// Fails when one of them cannot be a CA.
    pub fn new(authorities: &[CertificateDer<'static>]) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone())?;
        }
        Ok(Self {
            roots,
            pinned: authorities.to_vec(),
            algorithms: ring::default_provider().signature_verification_algorithms,
        })
    }

    /// Whether the certificate is itself in the CA file. gRPC accepts it then, even if it is marked as
    /// a CA; clusters with one self-signed file for everything depend on that. Only webpki's complaint
    /// about the form is ignored, not one about time or signature.
    fn is_pinned(&self, certificate: &CertificateDer<'_>, complaint: &Error) -> bool {
        matches!(
            complaint,
            Error::InvalidCertificate(CertificateError::Other(_))
        ) && self.pinned.iter().any(|known| known == certificate)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let signed = verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        );
        match signed {
            Err(complaint) if !self.is_pinned(end_entity, &complaint) => return Err(complaint),
            _ => {}
        }
        if verify_server_name(&certificate, server_name).is_ok() {
            return Ok(ServerCertVerified::assertion());
        }
        let names = Names::of(end_entity);
        if names.grpc_accepts(&server_name.to_str()) {
            return Ok(ServerCertVerified::assertion());
        }
        let names = names.list();
        let mismatch = OtherError(Arc::new(Mismatch { names }));
        Err(CertificateError::Other(mismatch).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
