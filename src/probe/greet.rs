//! Second connections, made only to learn which protocol a silent server speaks.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Error, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls;

use super::sniff::{FirstBytes, KEPT, Protocol, record};
use super::tls_verify;
use super::way::Route;

/// How long a second connection may take.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Whether the server answers a TLS greeting with TLS. Nothing is verified, and no certificate of
/// ours is sent.
pub(super) async fn answers_tls(route: &Route) -> bool {
    match client_hello(route) {
        Ok(hello) => reply_to(route, &hello).await == Protocol::Tls,
        Err(_) => false,
    }
}

/// Whether the server answers an HTTP/2 preface in plain text.
pub(super) async fn answers_http2(route: &Route) -> bool {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    reply_to(route, preface).await == Protocol::Http2
}

/// The protocol of the server's reply to `greeting` on a new connection.
pub(super) async fn reply_to(route: &Route, greeting: &[u8]) -> Protocol {
    let received = FirstBytes::default();
    let greet = async {
        let mut stream = record(route.dial().await.ok()?, &received);
        stream.write_all(greeting).await.ok()?;
        // Enough for a TLS alert, the shortest reply of all; HTTP/2 needs a whole frame header.
        stream.read_exact(&mut [0; 7]).await.ok()?;
        if received.protocol() != Protocol::Tls {
            stream.read_exact(&mut [0; 2]).await.ok()?;
        }
        if matches!(received.protocol(), Protocol::Http1(_)) {
            // The rest of the status line and the fields, which come with it.
            let _ = stream.read(&mut [0; KEPT]).await.ok()?;
        }
        Some(())
    };
    let _ = tokio::time::timeout(TIMEOUT, greet).await;
    received.protocol()
}

fn client_hello(route: &Route) -> Result<Vec<u8>, Error> {
    let mut config = tls_verify::config_builder()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::IpAddress(route.ip().into());
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name)?
        .write_tls(&mut hello)
        .map_err(|error| Error::General(error.to_string()))?;
    Ok(hello)
}
