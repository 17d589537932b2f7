//! TCP connections that end with FIN and never with RST.
//!
//! The kernel resets a connection that is closed before everything that the server sent was read:
//! a look that was given up, or a plain connect to a gRPC server, which speaks first. A server
//! shrugs at that, but a tunnel may take it for its own end: `kubectl port-forward` exits.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, copy, sink};
use tokio::net;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long a dropped connection waits for the server's end. A late answer comes within this.
const BOUND: Duration = Duration::from_secs(10);
/// How much of the late answer is read, in bytes.
const MOST: u64 = 1024 * 1024;
/// How many dropped connections may wait at once. Each holds a descriptor; those beyond are just closed.
const MOST_WAITING: usize = 32;

/// How many wait. A number and no semaphore: a fork may find a lock held. In the child those of the
/// parent count on, and only that many fewer wait.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// One that waits.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let taken = WAITING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < MOST_WAITING).then_some(waiting + 1)
        });
        taken.is_ok().then_some(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

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
        let (Some(inner), Some(place)) = (self.inner.take(), Place::take()) else {
            return;
        };
        self.runtime.spawn(async move {
            let _place = place;
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::future::pending;

    use tokio::net::TcpListener;

    use super::*;

    /// Answers only once the other side has closed: a connection that nobody reads any more is reset.
    async fn too_late(listener: &TcpListener) -> io::Result<()> {
        let (mut stream, _) = listener.accept().await?;
        copy(&mut stream, &mut sink()).await?;
        for _ in 0..3 {
            stream.write_all(b"late").await?;
            // The reset, if there is one, comes at once, and fails the next write.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn never_closes(listener: TcpListener) {
        let mut kept = Vec::new();
        while let Ok(accepted) = listener.accept().await {
            kept.push(accepted);
        }
        pending::<()>().await;
    }

    /// One test, since the places are the process's.
    #[tokio::test]
    async fn a_late_answer_is_not_reset_and_few_connections_wait_for_one() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let answered = async {
            drop(TcpStream::connect(address).await?);
            too_late(&listener).await
        };
        timeout(BOUND, answered).await??;

        tokio::spawn(never_closes(listener));
        let descriptors = || fs::read_dir("/dev/fd").map(Iterator::count);
        let before = descriptors()?;
        for _ in 0..200 {
            drop(TcpStream::connect(address).await?);
        }
        // The peer's own 200 are open as well, and those of tests that run beside this one.
        let held = descriptors()?.saturating_sub(before);
        assert!(held < 330, "{held}");
        Ok(())
    }
}
