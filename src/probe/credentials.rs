//! What it takes to reach a cluster: the token, the TLS files and the way that Ray itself would use,
//! read again for each connect.
//!
//! The order is that of `AuthenticationTokenLoader` (measured, Ray 2.60): `RAY_AUTH_TOKEN`, else the
//! first line of the file `RAY_AUTH_TOKEN_PATH` (missing or empty is an error, and the default file
//! is not read), else the service-account token when `RAY_ENABLE_K8S_TOKEN_AUTH` is on, else
//! `~/.ray/auth_token`. A `RAY_AUTH_MODE` other than `token` (in any case) switches tokens off.

use std::fmt;
use std::iter;
use std::path::PathBuf;

use tonic::metadata::{Ascii, AsciiMetadataKey, BinaryMetadataKey, MetadataMap, MetadataValue};

use super::server::Server;
use super::way::Way;
use crate::config::Env;
use crate::error::{ConnectError, Kind};

const K8S_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// What Ray itself would use to reach a cluster. `Debug` hides the token, and the way.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The bearer token, if Ray would send one.
    pub token: Option<String>,
    /// Where it was found, or else every place that was searched, for messages.
    pub token_source: String,
    /// Whether Ray would use tokens at all.
    pub mode: AuthMode,
    /// The TLS files, when `RAY_USE_TLS` is on.
    pub tls: Option<TlsFiles>,
    /// How Ray itself would reach the server.
    pub way: Way,
    /// What the caller has given to `ray.init` for the way to Ray.
    pub given: Given,
}

/// What a caller gives to `ray.init` of a Ray Client for a gateway on the way. `Debug` hides the
/// values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// `_metadata`: headers that go with each call.
    pub metadata: Vec<(String, Vec<u8>)>,
    /// `_credentials` are given: only Ray can read them, so nobody else can look past TCP.
    pub has_credentials: bool,
    /// `_temp_dir`: which of several Rays of this machine `auto` means.
    pub temp_dir: Option<PathBuf>,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self
            .metadata
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        f.debug_struct("Given")
            .field("metadata", &names)
            .field("has_credentials", &self.has_credentials)
            .field("temp_dir", &self.temp_dir)
            .finish()
    }
}

impl Given {
    /// Appends the headers of `_metadata`. Ray itself refuses those that no header can carry.
    fn append_to(&self, headers: &mut MetadataMap) {
        for (name, value) in &self.metadata {
            if let Ok(name) = BinaryMetadataKey::from_bytes(name.as_bytes()) {
                headers.append_bin(name, MetadataValue::from_bytes(value));
            } else if let Ok(name) = AsciiMetadataKey::from_bytes(name.as_bytes())
                && let Ok(mut value) = MetadataValue::try_from(value.as_slice())
            {
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
    }

    /// The parts of the values, for [`Credentials::scrub`]: a server may echo one of them.
    fn secrets(&self) -> impl Iterator<Item = String> {
        let values = self.metadata.iter().map(|(_, value)| value);
        values.flat_map(|value| {
            let text = String::from_utf8_lossy(value);
            let parts = text.split_whitespace().filter(|part| part.len() >= 6);
            parts.map(str::to_owned).collect::<Vec<_>>()
        })
    }
}

/// The meaning of `RAY_AUTH_MODE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// Not set: no token is sent to an explicit address.
    Unset {
        /// Whether there is a token at `token_source`, unused.
        found: bool,
    },
    /// `token`; or not set, with a token found for `auto`, as in Ray 2.59 and newer.
    Token,
    /// Set to something else.
    #[default]
    Off,
}

/// Values of Ray's own TLS variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// `RAY_TLS_SERVER_CERT`
    pub cert: Option<PathBuf>,
    /// `RAY_TLS_SERVER_KEY`
    pub key: Option<PathBuf>,
    /// `RAY_TLS_CA_CERT`
    pub ca: Option<PathBuf>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field("token_source", &self.token_source)
            .field("mode", &self.mode)
            .field("tls", &self.tls)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads Ray's variables as Ray does for an explicit address, or, with `auto`, as it does for a
    /// cluster of this machine.
    pub fn from_env(env: &Env, auto: bool) -> Self {
        let (token, token_source) = search(env);
        let mode = match env.get("RAY_AUTH_MODE") {
            Some(mode) if mode.eq_ignore_ascii_case("token") => AuthMode::Token,
            Some(_) => AuthMode::Off,
            None if auto && token.is_some() => AuthMode::Token,
            None => AuthMode::Unset {
                found: token.is_some(),
            },
        };
        Self {
            token: token.filter(|_| mode == AuthMode::Token),
            token_source,
            mode,
            tls: tls_files(env),
            way: Way::from_env(env),
            given: Given::default(),
        }
    }

    /// The same, with what the caller has given to `ray.init`.
    #[must_use]
    pub fn with(self, given: Given) -> Self {
        Self { given, ..self }
    }

    /// Whether a token is sent, from where, and why not: a phrase for messages.
    pub fn about_token(&self) -> String {
        let place = &self.token_source;
        match self.mode {
            _ if self.token.is_some() => format!("sent, from {place}"),
            AuthMode::Token => {
                format!("RAY_AUTH_MODE=token, but no token was found, looked in {place}")
            }
            AuthMode::Unset { found: true } => format!(
                "RAY_AUTH_MODE is not set, so Ray sends no token, though one was found in {place}"
            ),
            AuthMode::Unset { found: false } => {
                format!("RAY_AUTH_MODE is not set, and no token was found, looked in {place}")
            }
            AuthMode::Off => "RAY_AUTH_MODE switches tokens off".to_owned(),
        }
    }

    /// The headers of each call: the caller's own, and the token where Ray would send one.
    ///
    /// # Errors
    /// As [`Self::token_header`].
    pub(super) fn headers(&self, server: &Server) -> Result<MetadataMap, ConnectError> {
        let mut headers = MetadataMap::new();
        self.given.append_to(&mut headers);
        if let Some(token) = self.token_header(server)? {
            headers.append("authorization", token);
        }
        Ok(headers)
    }

    /// The `authorization` header, or `None` when Ray would send no token.
    ///
    /// # Errors
    /// [`Kind::Auth`] when Ray itself would fail without a connect: `RAY_AUTH_MODE=token` without a
    /// token, or a token that does not fit into a header.
    fn token_header(&self, server: &Server) -> Result<Option<MetadataValue<Ascii>>, ConnectError> {
        let Some(token) = &self.token else {
            return match self.mode {
                AuthMode::Token => Err(self.refused(server)),
                _ => Ok(None),
            };
        };
        let unsendable = |_| {
            let place = &self.token_source;
            server.error(
                Kind::Auth,
                format!("the token from {place} has characters that no header can carry"),
                "check it for line breaks and characters beyond ASCII",
            )
        };
        let mut header = MetadataValue::try_from(format!("Bearer {token}")).map_err(unsendable)?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    /// The error for a server that answered `UNAUTHENTICATED`, or would.
    pub(super) fn refused(&self, server: &Server) -> ConnectError {
        let (place, about) = (&self.token_source, self.about_token());
        let (cause, hint) = match self.mode {
            _ if self.token.is_some() => (
                format!("the cluster refused the token from {place}"),
                format!(
                    "put the cluster's token there (ray get-auth-token on the head prints it); the \
                     one from {place} may be old or belong to another cluster"
                ),
            ),
            AuthMode::Token => (
                about,
                "set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file that holds the cluster's \
                 token"
                    .to_owned(),
            ),
            AuthMode::Unset { found: true } => (
                format!("the cluster requires a token; {about}"),
                "set RAY_AUTH_MODE=token".to_owned(),
            ),
            AuthMode::Unset { found: false } | AuthMode::Off => (
                format!("the cluster requires a token; {about}"),
                "set RAY_AUTH_MODE=token, and the token in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or \
                 ~/.ray/auth_token"
                    .to_owned(),
            ),
        };
        server.error(Kind::Auth, cause, hint)
    }

    /// `text` from a server, safe to show: one line of at most 200 characters, without our token and
    /// the caller's headers, which a server might echo.
    pub(super) fn scrub(&self, text: &str) -> String {
        let token = self.token.iter().filter(|token| !token.is_empty());
        let secrets = token.cloned().chain(self.given.secrets());
        let text = secrets.fold(text.to_owned(), |text, secret| text.replace(&secret, "***"));
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(200)
            .collect()
    }
}

/// The token if there is one, and where it was found or searched for.
fn search(env: &Env) -> (Option<String>, String) {
    if let Some(token) = env.get("RAY_AUTH_TOKEN") {
        return (Some(token), "RAY_AUTH_TOKEN".to_owned());
    }
    if let Some(path) = env.get("RAY_AUTH_TOKEN_PATH") {
        let token = first_line(env, &path);
        let fault = token.as_ref().map_or(", missing or empty", |_| "");
        let place = format!("the file {path} (RAY_AUTH_TOKEN_PATH{fault})");
        return (token, place);
    }
    let files = default_files(env);
    for path in &files {
        if let Some(token) = first_line(env, path) {
            return (Some(token), format!("the file {path}"));
        }
    }
    let variables = "RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH".to_owned();
    let looked: Vec<String> = iter::once(variables).chain(files).collect();
    (None, looked.join(", "))
}

fn default_files(env: &Env) -> Vec<String> {
    let kubernetes = is_on(env, "RAY_ENABLE_K8S_TOKEN_AUTH").then(|| K8S_TOKEN.to_owned());
    let home = env
        .get("HOME")
        .map(|home| format!("{home}/.ray/auth_token"));
    kubernetes.into_iter().chain(home).collect()
}

/// The first line of a file, trimmed, as Ray reads a token.
fn first_line(env: &Env, path: &str) -> Option<String> {
    let text = env.file(path)?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn tls_files(env: &Env) -> Option<TlsFiles> {
    let path = |name: &str| env.get(name).map(PathBuf::from);
    is_on(env, "RAY_USE_TLS").then(|| TlsFiles {
        cert: path("RAY_TLS_SERVER_CERT"),
        key: path("RAY_TLS_SERVER_KEY"),
        ca: path("RAY_TLS_CA_CERT"),
    })
}

/// Whether a boolean of Ray's is on: `1` or `true`, in any case.
fn is_on(env: &Env, name: &str) -> bool {
    env.get(name)
        .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "true"))
}
