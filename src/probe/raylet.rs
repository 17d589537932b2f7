//! The raylet of this node, watched over a connection to its Unix socket.
//!
//! The kernel closes the connection within milliseconds of the raylet's end (docs/ray-internals.md,
//! "The raylet"). Nothing is sent.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

/// A connection to one raylet, opened at the first look.
pub struct Raylet {
    socket: PathBuf,
    stream: Option<UnixStream>,
}

impl Raylet {
    /// The raylet that listens on `socket`.
    pub const fn new(socket: PathBuf) -> Self {
        let stream = None;
        Self { socket, stream }
    }

    /// Whether it lives. False only for certain: nothing listens on its socket.
    pub async fn is_alive(&mut self) -> bool {
        if self
            .stream
            .as_ref()
            .is_some_and(|stream| !has_ended(stream))
        {
            return true;
        }
        match UnixStream::connect(&self.socket).await {
            Ok(stream) => self.stream = Some(stream),
            Err(error) => return !is_nobody(&error),
        }
        true
    }

    /// Completes when the connection has ended; never while there is none.
    pub async fn closed(&self) {
        let Some(stream) = &self.stream else {
            return std::future::pending().await;
        };
        while !has_ended(stream) {
            // An error is an end as well, which the next look finds.
            if stream.readable().await.is_err() {
                return;
            }
        }
    }
}

/// Whether a raylet listens on `socket`, on this machine.
pub async fn listens(socket: &Path) -> bool {
    UnixStream::connect(socket).await.is_ok()
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::NotFound
    )
}

/// Reads what the raylet may have sent, which it does not do unasked, until nothing is left.
fn has_ended(stream: &UnixStream) -> bool {
    loop {
        match stream.try_read(&mut [0; 64]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}
