//! TLS as Ray does it: mutual, with the files of Ray's own variables.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsConnector, rustls};

use super::causes::{self, NOT_RAY_HINT};
use super::credentials::TlsFiles;
use super::server::Server;
use super::sniff::{FirstBytes, Protocol, Recorded, record};
use super::tcp_stream::TcpStream;
use super::tls_verify::{Mismatch, Verifier, config_builder};
use super::way::Route;
use super::x509::{self, Names};
use super::{gateways, greet};
use crate::address::printable;
use crate::error::{ConnectError, Kind};

/// Makes the TLS handshake on `tcp`: verifies that the server is the one that `route` names, and shows our certificate.
///
/// # Errors
/// [`Kind::Tls`] for most failures; what else the server's first bytes prove it to be.
pub(super) async fn handshake(
    server: &Server,
    files: &TlsFiles,
    tcp: TcpStream,
    route: &Route,
) -> Result<TlsStream<Recorded<TcpStream>>, ConnectError> {
    let config = config(server, files).await?;
    let name = ServerName::try_from(route.name.clone()).map_err(|_| {
        server.error(
            Kind::Tls,
            "no certificate can be issued for this host name",
            "use a DNS name or an IP address that the head's certificate names",
        )
    })?;
    let received = FirstBytes::default();
    let stream = record(tcp, &received);
    match TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => Ok(stream),
        Err(error) => Err(failed(server, files, &error, &received, route).await),
    }
}

/// The protocol version, the names in the server's certificate, and its last day.
pub(super) fn agreed(stream: &TlsStream<Recorded<TcpStream>>) -> String {
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version();
    let version = version.map_or_else(String::new, |version| format!("{version:?}, "));
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    let told = certificate.map_or_else(String::new, |certificate| {
        let names = Names::of(certificate).list();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        match x509::expiry(certificate) {
            Some((day, end)) => {
                let left = end.saturating_sub(now.unwrap_or_default());
                format!("{names}, until {day} (in {})", span(left.as_secs()))
            }
            None => names,
        }
    });
    format!("{version}the server's certificate is for {told}")
}

/// The cause of a failed handshake. The protocol that the server speaks comes before the error of
/// rustls.
async fn failed(
    server: &Server,
    files: &TlsFiles,
    error: &io::Error,
    received: &FirstBytes,
    route: &Route,
) -> ConnectError {
    let speaks_plain = || {
        server.error(
            Kind::Tls,
            "we speak TLS, because RAY_USE_TLS is set, and the server does not",
            "unset RAY_USE_TLS, or start the cluster with TLS",
        )
    };
    match received.protocol() {
        Protocol::Http2 => speaks_plain(),
        Protocol::Http1(http) => gateways::answered_http1(server, &http),
        Protocol::Other(text) => causes::stranger(server, &text),
        Protocol::Nothing if greet::answers_http2(route).await => speaks_plain(),
        Protocol::Nothing => causes::closed(server),
        Protocol::Tls => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(tls) => describe(server, tls, Some(files)),
            None => server.error(
                Kind::Tls,
                format!("the server aborted the TLS handshake ({})", error.kind()),
                "look at the head's logs; it may not accept our certificate",
            ),
        },
    }
}

/// The error for a TLS failure. `files` are ours.
pub(super) fn describe(server: &Server, error: &Error, files: Option<&TlsFiles>) -> ConnectError {
    let ours = |file: fn(&TlsFiles) -> Option<&Path>| shown(files.and_then(file));
    let (kind, cause, hint) = match error {
        Error::InvalidCertificate(bad) => {
            let (cause, hint) = bad_certificate(bad, &ours(|files| files.ca.as_deref()));
            (Kind::Tls, cause, hint)
        }
        Error::AlertReceived(alert) => alerted(*alert, &ours(|files| files.cert.as_deref())),
        Error::NoApplicationProtocol => alerted(AlertDescription::NoApplicationProtocol, ""),
        other => (
            Kind::Tls,
            format!(
                "the TLS handshake failed ({})",
                printable(&other.to_string())
            ),
            "look at the head's logs and compare its TLS settings with ours",
        ),
    };
    server.error(kind, cause, hint)
}

/// ` (path)`, or nothing where there is none.
pub(super) fn shown(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" ({})", path.display()))
}

const RENEW: &str = "renew the head's certificate and restart it";

fn bad_certificate(error: &CertificateError, ca: &str) -> (String, &'static str) {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            format!("the server's certificate is not signed by our CA{ca}"),
            "set RAY_TLS_CA_CERT to the CA file of this cluster",
        ),
        CertificateError::ExpiredContext { time, not_after } => {
            let ago = span(time.as_secs().saturating_sub(not_after.as_secs()));
            (format!("the server's certificate expired {ago} ago"), RENEW)
        }
        CertificateError::Expired => ("the server's certificate has expired".to_owned(), RENEW),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "the server's certificate is not valid yet".to_owned(),
            "compare the clocks of this machine and the head",
        ),
        CertificateError::Other(inner) => match inner.0.downcast_ref::<Mismatch>() {
            Some(Mismatch { names }) => (
                format!("the server's certificate is not for this host but for {names}"),
                "connect by one of these names, or issue a certificate that has this one in \
                 subjectAltName",
            ),
            None => unusable_certificate(error),
        },
        other => unusable_certificate(other),
    }
}

fn unusable_certificate(error: &CertificateError) -> (String, &'static str) {
    (
        format!("the server's certificate cannot be used ({})", flaw(error)),
        "look at the head's certificate (openssl x509 -noout -text -in <file>): it must be X.509 v3 \
         with subjectAltName",
    )
}

fn alerted(alert: AlertDescription, ours: &str) -> (Kind, String, &'static str) {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired => (
            Kind::Tls,
            "the server requires a client certificate and got none".to_owned(),
            "set RAY_TLS_SERVER_CERT and RAY_TLS_SERVER_KEY",
        ),
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError => (
            Kind::Tls,
            format!("the server refused our client certificate{ours}: {alert:?}"),
            "use a certificate that is signed by the cluster's CA and has not expired",
        ),
        A::NoApplicationProtocol => (
            Kind::NotRay,
            "a TLS server that does not speak HTTP/2, so not Ray".to_owned(),
            NOT_RAY_HINT,
        ),
        other => (
            Kind::Tls,
            format!("the server refused the TLS handshake: {other:?}"),
            "look at the head's logs; the two sides may have no TLS version or cipher in common",
        ),
    }
}

/// A duration in its largest sensible unit.
fn span(seconds: u64) -> String {
    match seconds {
        0..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Reads our files on a blocking thread: they may be on a slow volume.
async fn config(server: &Server, files: &TlsFiles) -> Result<Arc<ClientConfig>, ConnectError> {
    let owned = (server.clone(), files.clone());
    let build = move || build(&owned.0, &owned.1).map(Arc::new);
    tokio::task::spawn_blocking(build)
        .await
        .unwrap_or_else(|_| {
            let cause = "our TLS files could not be read";
            Err(server.error(Kind::Tls, cause, "try again"))
        })
}

/// Ray requires all three files and refuses to start without one of them.
fn build(server: &Server, files: &TlsFiles) -> Result<ClientConfig, ConnectError> {
    let authorities = certificates(server, "RAY_TLS_CA_CERT", files.ca.as_deref())?;
    let chain = certificates(server, "RAY_TLS_SERVER_CERT", files.cert.as_deref())?;
    let key = private_key(server, files.key.as_deref())?;
    let verifier = Verifier::new(&authorities).map_err(|error| {
        server.error(
            Kind::Tls,
            format!("RAY_TLS_CA_CERT holds a certificate that is no CA ({error})"),
            "check the file with: openssl x509 -noout -text -in <file>",
        )
    })?;
    let mut config = config_builder()
        .map(|builder| {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        })
        .and_then(|builder| builder.with_client_auth_cert(chain, key))
        .map_err(|error| unusable(server, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// rustls does not accept our certificate and key.
fn unusable(server: &Server, error: &Error) -> ConnectError {
    let (cause, hint) = match error {
        Error::InvalidCertificate(bad) => (
            format!("RAY_TLS_SERVER_CERT cannot be used ({})", flaw(bad)),
            "issue an X.509 v3 certificate with subjectAltName",
        ),
        other => (
            format!("RAY_TLS_SERVER_CERT and RAY_TLS_SERVER_KEY cannot be used together ({other})"),
            "check that the key belongs to the certificate",
        ),
    };
    server.error(Kind::Tls, cause, hint)
}

/// What is wrong with the form of a certificate. Version 1, the usual flaw, gets a clearer text.
fn flaw(error: &CertificateError) -> String {
    let text = match error {
        CertificateError::Other(inner) => inner.to_string(),
        other => other.to_string(),
    };
    if text.contains("UnsupportedCertVersion") {
        return "it is X.509 version 1, which this preflight cannot check".to_owned();
    }
    printable(&text)
}

fn certificates(
    server: &Server,
    variable: &str,
    path: Option<&Path>,
) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let bytes = read(server, variable, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| {
        server.error(
            Kind::Tls,
            format!("{variable}{} holds no PEM certificate", shown(path)),
            "it must be a PEM file: -----BEGIN CERTIFICATE-----",
        )
    })
}

fn private_key(
    server: &Server,
    path: Option<&Path>,
) -> Result<PrivateKeyDer<'static>, ConnectError> {
    let variable = "RAY_TLS_SERVER_KEY";
    let bytes = read(server, variable, path)?;
    // The parser's message is dropped: it might quote the file.
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        server.error(
            Kind::Tls,
            format!("{variable}{} holds no private key in PEM", shown(path)),
            "it must be an unencrypted PEM file: -----BEGIN PRIVATE KEY-----",
        )
    })
}

fn read(server: &Server, variable: &str, path: Option<&Path>) -> Result<Vec<u8>, ConnectError> {
    let Some(file) = path else {
        return Err(server.error(
            Kind::Tls,
            format!("RAY_USE_TLS is set, but {variable} is not"),
            "set RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY and RAY_TLS_CA_CERT, or unset RAY_USE_TLS",
        ));
    };
    fs::read(file).map_err(|error| {
        server.error(
            Kind::Tls,
            format!("{variable}{} cannot be read: {error}", shown(path)),
            "check the path and its permissions",
        )
    })
}
