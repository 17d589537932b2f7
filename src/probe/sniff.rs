//! Records the first bytes received from a server to identify its protocol.
//!
//! An HTTP/2 client reports a web server, a TLS server and a Redis server all as "protocol error".
//! The first bytes tell them apart.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::StatusCode;
use tokio::io::{self, AsyncRead, AsyncWrite, Join, ReadBuf, ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio_rustls::rustls;

use super::http_answer::{HttpAnswer, shown};

/// Number of bytes kept: enough for a frame header, a TLS record header, a banner, or the head of an
/// HTTP/1 answer and the title of its page.
pub(super) const KEPT: usize = 256;

/// The protocol that a server speaks, judged by its first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// No byte was received.
    Nothing,
    /// A TLS handshake or alert record.
    Tls,
    /// An HTTP/1 answer.
    Http1(Http1),
    /// An HTTP/2 frame that a server may begin with.
    Http2,
    /// Anything else, as text that is safe to show.
    Other(String),
}

/// The beginning of an HTTP/1 answer, safe to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Http1 {
    /// The status line.
    pub line: String,
    /// The product that the server calls itself.
    pub server: Option<String>,
}

impl Http1 {
    fn parse(first: &[u8]) -> Self {
        let text = String::from_utf8_lossy(first);
        let field = |line: &str| match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("server") => shown(value.as_bytes()),
            _ => None,
        };
        let head = text.split_once("\r\n\r\n").map_or(&*text, |(head, _)| head);
        Self {
            line: banner(first).unwrap_or_default(),
            server: head.split("\r\n").skip(1).find_map(field),
        }
    }

    /// Whether the server could not read what we sent.
    pub fn is_bad_request(&self) -> bool {
        let answer = self.answer();
        answer.is_some_and(|answer| answer.status == StatusCode::BAD_REQUEST)
    }

    /// The answer, if the line has a status.
    pub fn answer(&self) -> Option<HttpAnswer> {
        let code = self.line.split(' ').nth(1)?;
        Some(HttpAnswer {
            status: StatusCode::from_bytes(code.as_bytes()).ok()?,
            server: self.server.clone(),
        })
    }
}

/// A shared record of what a [`Recorded`] stream received.
#[derive(Clone, Default)]
pub(super) struct FirstBytes(Arc<Mutex<Record>>, Arc<Notify>);

#[derive(Default)]
struct Record {
    first: Vec<u8>,
    tls_error: Option<rustls::Error>,
}

impl FirstBytes {
    /// The protocol that the first bytes belong to.
    pub fn protocol(&self) -> Protocol {
        classify(&self.record().first)
    }

    /// The TLS failure that ended the stream, if one did. TLS 1.3 servers refuse a client's
    /// certificate only after the handshake is complete for the client.
    pub fn tls_error(&self) -> Option<rustls::Error> {
        self.record().tls_error.clone()
    }

    /// Completes when something was received. For one task.
    pub async fn arrived(&self) {
        while self.record().first.is_empty() {
            self.1.notified().await;
        }
    }

    fn push(&self, bytes: &[u8]) {
        let mut record = self.record();
        let room = KEPT.saturating_sub(record.first.len());
        record.first.extend(bytes.iter().take(room));
        self.1.notify_one();
    }

    fn fail(&self, error: &io::Error) {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        if let Some(tls) = inner {
            self.record().tls_error = Some(rustls::Error::clone(tls));
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream whose first received bytes are recorded.
pub(super) type Recorded<S> = Join<Recorder<ReadHalf<S>>, WriteHalf<S>>;

/// Records the first bytes that `stream` receives in `received`.
pub(super) fn record<S: AsyncRead + AsyncWrite>(stream: S, received: &FirstBytes) -> Recorded<S> {
    let (inner, write) = io::split(stream);
    let received = received.clone();
    io::join(Recorder { inner, received }, write)
}

/// The reading half of a [`Recorded`] stream.
pub(super) struct Recorder<R> {
    inner: R,
    received: FirstBytes,
}

impl<R: AsyncRead + Unpin> AsyncRead for Recorder<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        match &polled {
            Poll::Ready(Ok(())) => self
                .received
                .push(buf.filled().get(before..).unwrap_or_default()),
            Poll::Ready(Err(error)) => self.received.fail(error),
            Poll::Pending => {}
        }
        polled
    }
}

fn classify(first: &[u8]) -> Protocol {
    match first {
        [] => Protocol::Nothing,
        [0x15 | 0x16, 3, 0..=4, ..] => Protocol::Tls,
        _ if speaks_http1(first) => Protocol::Http1(Http1::parse(first)),
        _ if opens_http2(first) => Protocol::Http2,
        _ => Protocol::Other(other(first)),
    }
}

/// A status line, or a bare page from an old server that takes our preface for HTTP/0.9.
fn speaks_http1(first: &[u8]) -> bool {
    let opens_with = |text: &[u8]| {
        let start = first.get(..text.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    opens_with(b"HTTP/") || opens_with(b"<!DOCTYPE") || opens_with(b"<html")
}

/// The largest frame that a server may send: we do not raise HTTP/2's default.
const MAX_FRAME: usize = 16_384;

/// A server begins with SETTINGS (or GOAWAY, when it is shutting down) on stream 0. What follows
/// must be frames too, as far as it was kept.
fn opens_http2(first: &[u8]) -> bool {
    let &[_, _, _, kind, flags, 0, 0, 0, 0, ..] = first else {
        return false;
    };
    let settings = kind == 4 && flags <= 1 && frame_length(first).is_multiple_of(6);
    let goaway = kind == 7 && frame_length(first) >= 8;
    (settings || goaway) && all_frames_fit(first)
}

fn all_frames_fit(mut bytes: &[u8]) -> bool {
    while bytes.len() >= 9 {
        let length = frame_length(bytes);
        if length > MAX_FRAME {
            return false;
        }
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    true
}

fn frame_length(frame: &[u8]) -> usize {
    let bytes = frame.iter().take(3);
    bytes.fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

fn other(first: &[u8]) -> String {
    match banner(first) {
        Some(text) if text.starts_with("-ERR") || text.starts_with("-NOAUTH") => {
            format!("\"{text}\", which is Redis")
        }
        Some(text) => format!("\"{text}\""),
        None => "bytes of no protocol that we know".to_owned(),
    }
}

/// The first line, if it is readable text.
fn banner(first: &[u8]) -> Option<String> {
    let line = first.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let readable = line.iter().all(|byte| matches!(byte, b' '..=b'~'));
    (readable && line.len() >= 4).then(|| line.iter().take(60).copied().map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_told_apart() {
        let other = |text: &str| Protocol::Other(text.to_owned());
        let cases: [(&[u8], Protocol); 9] = [
            (b"", Protocol::Nothing),
            (&[0x15, 3, 1, 0, 2, 2, 70], Protocol::Tls),
            (&[0x16, 3, 3, 0, 60], Protocol::Tls),
            (
                b"HTTP/1.0 400 Bad\r\nX: y",
                Protocol::Http1(Http1 {
                    line: "HTTP/1.0 400 Bad".into(),
                    ..Http1::default()
                }),
            ),
            (&[0, 0, 6, 4, 0, 0, 0, 0, 0, 9], Protocol::Http2),
            (&[0, 0, 8, 7, 0, 0, 0, 0, 0], Protocol::Http2),
            (&[0, 0, 6, 4], other("bytes of no protocol that we know")),
            (b"SSH-2.0-OpenSSH_9\r\n", other("\"SSH-2.0-OpenSSH_9\"")),
            (
                b"-ERR unknown\r\n",
                other("\"-ERR unknown\", which is Redis"),
            ),
        ];
        for (bytes, wanted) in cases {
            assert_eq!(classify(bytes), wanted);
        }
    }

    #[test]
    fn an_http1_answer_names_its_server() {
        let page =
            b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nX: y\r\n\r\n<title>400 The \
                     plain HTTP request was sent to HTTPS port</title>";
        let Protocol::Http1(http) = classify(page) else {
            panic!("HTTP/1");
        };
        assert!(http.is_bad_request());
        assert_eq!(
            http.answer().expect("a status").to_string(),
            "HTTP 400 Bad Request from nginx/1.22.1"
        );
        // An old server takes our preface for HTTP/0.9.
        let Protocol::Http1(page) = classify(b"<html><p>server: no</p>") else {
            panic!("HTTP/0.9");
        };
        assert_eq!((page.answer(), page.server), (None, None));
    }
}
