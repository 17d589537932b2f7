//! Checks a server's certificate: webpki's rules, plus the two leniencies of gRPC without which
//! this preflight would refuse clusters that Ray connects to.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use tokio_rustls::rustls;

use super::x509::Names;

/// ring, chosen here and not through a process-wide default.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The certificate is fine, but made out to others.
#[derive(Debug)]
pub(super) struct Mismatch {
    /// To whom, for people.
    pub names: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "made out to {}", self.names)
    }
}

impl std::error::Error for Mismatch {}

/// Trusts the cluster's CA and nothing else.
#[derive(Debug)]
pub(super) struct Verifier {
    roots: RootCertStore,
    pinned: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// `authorities` is the content of `RAY_TLS_CA_CERT`.
    pub fn new(authorities: &[CertificateDer<'static>]) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone())?;
        }
        Ok(Self {
            roots,
            pinned: authorities.to_vec(),
            algorithms: provider().signature_verification_algorithms,
        })
    }

    /// gRPC takes a certificate that is itself in the CA file, also when it is marked as a CA;
    /// clusters with one self-signed file for everything live on that. Only webpki's complaint
    /// about the form is passed over, not one about time or signature.
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
