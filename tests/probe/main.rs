//! The preflight against scripted peers, one module per kind of peer.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "tests may panic, and that is how they fail"
)]

mod credentials;
mod gateways;
mod grpc;
mod kept_channel;
mod local;
mod peer;
mod pki;
mod tcp;
mod tls;
