//! TLS as Ray does it: mutual, with the files of Ray's own variables.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, RootCertStore,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsConnector, rustls};

use super::credentials::TlsFiles;
use super::sniff::{Ear, Heard, Peeked};
use super::tls_verify::{Mismatch, Verifier};
use super::trace::Ask;
use super::x509::{Expiry, Names};
use super::{explain, tcp};
use crate::error::{ConnectError, Kind};

/// How long a second connection, made only to learn what a silent server speaks, may take.
const SECOND_LOOK: Duration = Duration::from_millis(500);

/// Encrypts `tcp`, checks the server and shows our certificate.
pub(super) async fn handshake(
    ask: &Ask<'_>,
    files: &TlsFiles,
    tcp: TcpStream,
    peer: SocketAddr,
) -> Result<TlsStream<Peeked<TcpStream>>, ConnectError> {
    let config = config(ask, files).await?;
    let host = ask.server.host.clone();
    let name = ServerName::try_from(host).map_err(|_| {
        ask.error(
            Kind::Tls,
            "no certificate can be made out to this host name",
            "use a DNS name or an IP address that the head's certificate names",
        )
    })?;
    let ear = Ear::default();
    let stream = Peeked::new(tcp, ear.clone());
    match TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => Ok(stream),
        Err(error) => Err(failed(ask, files, &error, &ear, peer).await),
    }
}

/// What the two sides agreed on, whom the server's certificate is for and until when.
pub(super) fn agreed(stream: &TlsStream<Peeked<TcpStream>>) -> String {
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version();
    let version = version.map_or_else(String::new, |version| format!("{version:?}, "));
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    let told = certificate.map_or_else(String::new, |certificate| {
        let names = Names::of(certificate).list();
        match Expiry::of(certificate) {
            Some(expiry) => format!("{names}, until {expiry} ({})", time_left(expiry)),
            None => names,
        }
    });
    format!("{version}the server's certificate is for {told}")
}

/// How far off an expiry is. One that was accepted lies ahead, but for a clock that was set.
fn time_left(expiry: Expiry) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    let left = u64::try_from(expiry.epoch()).unwrap_or_default();
    format!("in {}", span(left.saturating_sub(now)))
}

/// Does the server answer a TLS greeting in kind? Asked when a plaintext connection was closed
/// without a word, as Ray's own TLS ports do. Nothing is verified, nothing of ours is sent.
pub(super) async fn answers(peer: SocketAddr) -> bool {
    match client_hello(peer) {
        Ok(hello) => reply_to(peer, &hello).await == Heard::Tls,
        Err(_) => false,
    }
}

/// Does the server answer an HTTP/2 greeting in plain text? Asked when it hung up on TLS.
async fn answers_plain_http2(peer: SocketAddr) -> bool {
    let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    reply_to(peer, greeting).await == Heard::Http2
}

/// What a new connection hears first after `greeting`.
pub(super) async fn reply_to(peer: SocketAddr, greeting: &[u8]) -> Heard {
    let ear = Ear::default();
    let greet = async {
        let mut stream = Peeked::new(tcp::again(peer).await?, ear.clone());
        stream.write_all(greeting).await.ok()?;
        // Enough for a TLS alert, the shortest answer of all; HTTP/2 needs its whole header.
        stream.read_exact(&mut [0; 7]).await.ok()?;
        if ear.heard() != Heard::Tls {
            stream.read_exact(&mut [0; 2]).await.ok()?;
        }
        Some(())
    };
    let _ = tokio::time::timeout(SECOND_LOOK, greet).await;
    ear.heard()
}

fn client_hello(peer: SocketAddr) -> Result<Vec<u8>, Error> {
    let mut config = builder()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::IpAddress(peer.ip().into());
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name)?
        .write_tls(&mut hello)
        .map_err(|error| Error::General(error.to_string()))?;
    Ok(hello)
}

/// The cause of a failed handshake: what the server speaks counts before what rustls thinks.
async fn failed(
    ask: &Ask<'_>,
    files: &TlsFiles,
    error: &io::Error,
    ear: &Ear,
    peer: SocketAddr,
) -> ConnectError {
    match ear.heard() {
        Heard::Http2 => server_speaks_plain(ask),
        Heard::Http1(line) => explain::web(ask, &line),
        Heard::Other(text) => explain::stranger(ask, &text),
        Heard::Nothing if answers_plain_http2(peer).await => server_speaks_plain(ask),
        Heard::Nothing => explain::closed(ask),
        Heard::Tls => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(tls) => describe(ask, tls, Some(files)),
            None => ask.error(
                Kind::Tls,
                &format!("the server broke off the TLS handshake ({})", error.kind()),
                "look at the head's logs; it may not accept our certificate",
            ),
        },
    }
}

fn server_speaks_plain(ask: &Ask<'_>) -> ConnectError {
    ask.error(
        Kind::Tls,
        "we speak TLS, because RAY_USE_TLS is set, and the server does not",
        "unset RAY_USE_TLS, or start the cluster with TLS",
    )
}

/// A TLS failure in words.
pub(super) fn describe(ask: &Ask<'_>, error: &Error, files: Option<&TlsFiles>) -> ConnectError {
    let file = |path: fn(&TlsFiles) -> &Option<PathBuf>| {
        let path = files.and_then(|files| path(files).as_deref());
        path.map_or_else(String::new, |path| format!(" ({})", path.display()))
    };
    match error {
        Error::InvalidCertificate(bad) => {
            let (cause, hint) = bad_certificate(bad, &file(|files| &files.ca));
            ask.error(Kind::Tls, &cause, hint)
        }
        Error::AlertReceived(alert) => {
            let ours = file(|files| &files.cert);
            let (kind, cause, hint) = alerted(*alert, &ours);
            ask.error(kind, &cause, hint)
        }
        Error::NoApplicationProtocol => {
            let (kind, cause, hint) = alerted(AlertDescription::NoApplicationProtocol, "");
            ask.error(kind, &cause, hint)
        }
        other => ask.error(
            Kind::Tls,
            &format!("the TLS handshake failed ({})", short(&other.to_string())),
            "look at the head's logs and compare its TLS settings with ours",
        ),
    }
}

fn bad_certificate(error: &CertificateError, ca: &str) -> (String, &'static str) {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            format!("the server's certificate is not signed by our CA{ca}"),
            "set RAY_TLS_CA_CERT to the CA file of this cluster",
        ),
        CertificateError::ExpiredContext { time, not_after } => {
            let ago = time.as_secs().saturating_sub(not_after.as_secs());
            (
                format!("the server's certificate expired {} ago", span(ago)),
                "renew the head's certificate and restart it",
            )
        }
        CertificateError::Expired => (
            "the server's certificate has expired".to_owned(),
            "renew the head's certificate and restart it",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "the server's certificate is not valid yet".to_owned(),
            "compare the clocks of this machine and the head",
        ),
        CertificateError::Other(inner) => match inner.0.downcast_ref::<Mismatch>() {
            Some(Mismatch { names }) => (
                format!("the server's certificate is not made out to this host but to {names}"),
                "connect by one of these names, or issue a certificate that has this one in \
                 subjectAltName",
            ),
            None => (
                format!("the server's certificate cannot be used ({})", flaw(error)),
                "issue an X.509 v3 certificate with subjectAltName for the head",
            ),
        },
        other => (
            format!(
                "the server's certificate cannot be used ({})",
                short(&other.to_string())
            ),
            "look at the head's certificate: openssl x509 -noout -text -in <file>",
        ),
    }
}

fn alerted(alert: AlertDescription, ours: &str) -> (Kind, String, &'static str) {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired => (
            Kind::Tls,
            "the server wants a client certificate and got none".to_owned(),
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
            "check host and port: Ray Client is usually ray://host:10001, the GCS host:6379",
        ),
        other => (
            Kind::Tls,
            format!("the server refused the TLS handshake: {other:?}"),
            "look at the head's logs; versions or ciphers may have nothing in common",
        ),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Reads our files away from the event loop: they may lie on a slow volume.
async fn config(ask: &Ask<'_>, files: &TlsFiles) -> Result<Arc<ClientConfig>, ConnectError> {
    let files = files.clone();
    let built = tokio::task::spawn_blocking(move || build(&files)).await;
    let fault = match built {
        Ok(Ok(config)) => return Ok(Arc::new(config)),
        Ok(Err(fault)) => fault,
        Err(_) => Fault::new("our TLS files could not be read", "try again"),
    };
    Err(ask.error(Kind::Tls, &fault.cause, fault.hint))
}

/// Something about our own files; never with their content.
struct Fault {
    cause: String,
    hint: String,
}

impl Fault {
    fn new(cause: impl Into<String>, hint: impl Into<String>) -> Self {
        let (cause, hint) = (cause.into(), hint.into());
        Self { cause, hint }
    }
}

/// Ray wants all three files and refuses to start without one of them.
fn build(files: &TlsFiles) -> Result<ClientConfig, Fault> {
    let authorities = certificates("RAY_TLS_CA_CERT", files.ca.as_deref())?;
    let chain = certificates("RAY_TLS_SERVER_CERT", files.cert.as_deref())?;
    let key = private_key(files.key.as_deref())?;
    let verifier = Verifier::new(&authorities).map_err(|error| {
        Fault::new(
            format!("RAY_TLS_CA_CERT holds a certificate that is no CA ({error})"),
            "check the file with: openssl x509 -noout -text -in <file>",
        )
    })?;
    let mut config = builder()
        .map(|builder| {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        })
        .and_then(|builder| builder.with_client_auth_cert(chain, key))
        .map_err(|error| unusable(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// rustls will not work with our certificate and key.
fn unusable(error: &Error) -> Fault {
    match error {
        Error::InvalidCertificate(bad) => Fault::new(
            format!("RAY_TLS_SERVER_CERT cannot be used ({})", flaw(bad)),
            "issue an X.509 v3 certificate with subjectAltName",
        ),
        other => Fault::new(
            format!("RAY_TLS_SERVER_CERT and RAY_TLS_SERVER_KEY cannot be used together ({other})"),
            "check that the key belongs to the certificate",
        ),
    }
}

/// What is wrong with a certificate's form; the one that people meet in words of their own.
fn flaw(error: &CertificateError) -> String {
    let text = match error {
        CertificateError::Other(inner) => inner.to_string(),
        other => other.to_string(),
    };
    if text.contains("UnsupportedCertVersion") {
        return "it is X.509 version 1, which this preflight cannot check".to_owned();
    }
    short(&text)
}

/// ring by name: no process-wide default is read or set.
fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Error> {
    ClientConfig::builder_with_provider(super::tls_verify::provider())
        .with_safe_default_protocol_versions()
}

fn certificates(
    variable: &str,
    path: Option<&Path>,
) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let (path, bytes) = read(variable, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Fault::new(
            format!("{variable} ({}) holds no PEM certificate", path.display()),
            "it must be a PEM file: -----BEGIN CERTIFICATE-----",
        )),
    }
}

fn private_key(path: Option<&Path>) -> Result<PrivateKeyDer<'static>, Fault> {
    let (path, bytes) = read("RAY_TLS_SERVER_KEY", path)?;
    // The parser's own words might quote the file, so they stay here.
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        Fault::new(
            format!(
                "RAY_TLS_SERVER_KEY ({}) holds no private key in PEM",
                path.display()
            ),
            "it must be an unencrypted PEM file: -----BEGIN PRIVATE KEY-----",
        )
    })
}

fn read<'p>(variable: &str, path: Option<&'p Path>) -> Result<(&'p Path, Vec<u8>), Fault> {
    let Some(path) = path else {
        return Err(Fault::new(
            format!("RAY_USE_TLS is set, but {variable} is not"),
            "set RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY and RAY_TLS_CA_CERT, or unset RAY_USE_TLS",
        ));
    };
    match fs::read(path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(error) => Err(Fault::new(
            format!("{variable} ({}) cannot be read: {error}", path.display()),
            "check the path and its permissions",
        )),
    }
}
