//! TCP connections that end with FIN and never with RST.
//!
//! The kernel resets a connection that is closed before everything that the server sent was read:
//! a look that was given up, or a plain connect to a gRPC server, which speaks first. A server
//! shrugs at that, but a tunnel may take it for its own end: `kubectl port-forward` exits.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, copy, sink};
use tokio::net;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a dropped connection waits for the server's end. A late answer comes within this.
const BOUND: Duration = Duration::from_secs(10);
/// How much of the late answer is read, in bytes.
const MOST: u64 = 1024 * 1024;
/// How many dropped connections wait at once. Each holds a descriptor; those beyond are just closed.
static WAITING: Semaphore = Semaphore::const_new(32);

/// A TCP connection. Dropping it sends FIN at once and leaves the rest to a task of the runtime on
/// which it was made, or to the kernel when that runtime has ended.
pub(super) struct TcpStream {
    /// `None` from the drop on.
    inner: Option<net::TcpStream>,
    runtime: Handle,
}

impl TcpStream {
    /// Connects to `address`, without Nagle's algorithm: with it, the small frames of a call wait
    /// 40 ms for a delayed ACK.
    ///
    /// # Errors
    /// Of the operating system.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let inner = net::TcpStream::connect(address).await?;
        let _ = inner.set_nodelay(true);
        Ok(Self {
            inner: Some(inner),
            runtime: Handle::current(),
        })
    }

    fn inner(self: Pin<&mut Self>) -> io::Result<Pin<&mut net::TcpStream>> {
        let inner = self.get_mut().inner.as_mut().map(Pin::new);
        inner.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let (Some(inner), Ok(permit)) = (self.inner.take(), WAITING.try_acquire()) else {
            return;
        };
        self.runtime.spawn(async move {
            let _permit = permit;
            let _ = timeout(BOUND, part(inner)).await;
        });
    }
}

async fn part(mut stream: net::TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    copy(&mut stream.take(MOST), &mut sink()).await?;
    Ok(())
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_shutdown(cx)
    }
}
