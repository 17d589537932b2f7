//! The token and TLS files that Ray itself would use, read anew for each connect.
//!
//! Measured against `AuthenticationTokenLoader` of Ray 2.60: `RAY_AUTH_TOKEN`, else the first line
//! of the file `RAY_AUTH_TOKEN_PATH` (missing or empty is an error, the default file is not
//! looked at), else the service-account token when `RAY_ENABLE_K8S_TOKEN_AUTH` is on, else
//! `~/.ray/auth_token`. Any `RAY_AUTH_MODE` but `token` (any case) means off.

use std::fmt;
use std::path::PathBuf;

use tonic::metadata::{Ascii, MetadataValue};

use super::trace::Ask;
use crate::config::Env;
use crate::error::{ConnectError, Kind};

const K8S_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The token that Ray itself would send, read anew for each connect. Never shown.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Bearer token, if Ray would send one.
    pub token: Option<String>,
    /// Where it was found, or where we looked: for people.
    pub token_source: String,
    /// Whether Ray would use tokens at all.
    pub mode: AuthMode,
    /// TLS files, when `RAY_USE_TLS` is on.
    pub tls: Option<TlsFiles>,
}

/// What `RAY_AUTH_MODE` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// Not set: no token is sent to an explicit address. `found` is whether one lies ready.
    Unset {
        /// A token is at `token_source`, unused.
        found: bool,
    },
    /// `token`, or unset and `auto` found a token, as Ray 2.59 and newer do.
    Token,
    /// Set to something else.
    #[default]
    Off,
}

/// Ray's own TLS variables.
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
            .finish()
    }
}

impl Credentials {
    /// Reads Ray's variables the way Ray does for an explicit address, or, with `auto`, the way
    /// it does for a local cluster.
    pub fn from_env(env: &Env, auto: bool) -> Self {
        let found = search(env);
        let mode = match env.get("RAY_AUTH_MODE") {
            Some(mode) if mode.eq_ignore_ascii_case("token") => AuthMode::Token,
            Some(_) => AuthMode::Off,
            None if auto && found.token.is_some() => AuthMode::Token,
            None => AuthMode::Unset {
                found: found.token.is_some(),
            },
        };
        Self {
            token: found.token.filter(|_| mode == AuthMode::Token),
            token_source: found.place,
            mode,
            tls: tls_files(env),
        }
    }

    /// Whether there is a token, where it lies and what becomes of it, for people.
    pub fn about_token(&self) -> String {
        let place = &self.token_source;
        match self.mode {
            AuthMode::Token if self.token.is_some() => format!("sent, from {place}"),
            AuthMode::Token => format!("none found, looked in {place}"),
            AuthMode::Unset { found: true } => {
                format!("found in {place}, but not sent: RAY_AUTH_MODE is not set")
            }
            AuthMode::Unset { found: false } => "none; RAY_AUTH_MODE is not set".to_owned(),
            AuthMode::Off => "not sent: RAY_AUTH_MODE switches tokens off".to_owned(),
        }
    }

    /// The `authorization` header. `None` when no token is to be sent; an error when Ray would
    /// refuse to connect without even trying.
    pub(super) fn header(
        &self,
        ask: &Ask<'_>,
    ) -> Result<Option<MetadataValue<Ascii>>, ConnectError> {
        let Some(token) = &self.token else {
            return match self.mode {
                AuthMode::Token => Err(self.none_found(ask)),
                _ => Ok(None),
            };
        };
        let mut header =
            MetadataValue::try_from(format!("Bearer {token}")).map_err(|_| self.unsendable(ask))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    /// The server answered `UNAUTHENTICATED`.
    pub(super) fn refused(&self, ask: &Ask<'_>) -> ConnectError {
        let place = &self.token_source;
        match self.mode {
            _ if self.token.is_some() => ask.error(
                Kind::Auth,
                &format!("the cluster refused the token from {place}"),
                format!(
                    "put the cluster's token there (ray get-auth-token on the head prints it); the \
                     one from {place} may be old or belong to another cluster"
                ),
            ),
            AuthMode::Unset { found: true } => ask.error(
                Kind::Auth,
                &format!(
                    "the cluster wants a token; RAY_AUTH_MODE is not set, so Ray sends none, though \
                     one was found in {place}"
                ),
                "set RAY_AUTH_MODE=token",
            ),
            AuthMode::Unset { found: false } => ask.error(
                Kind::Auth,
                &format!("the cluster wants a token; none was found, looked in {place}"),
                "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) to the \
                 cluster's token",
            ),
            AuthMode::Token => self.none_found(ask),
            AuthMode::Off => ask.error(
                Kind::Auth,
                "the cluster wants a token; RAY_AUTH_MODE switches tokens off here",
                "set RAY_AUTH_MODE=token, and the token in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or \
                 ~/.ray/auth_token",
            ),
        }
    }

    fn none_found(&self, ask: &Ask<'_>) -> ConnectError {
        ask.error(
            Kind::Auth,
            &format!(
                "RAY_AUTH_MODE=token, but no token was found, looked in {}",
                self.token_source
            ),
            "set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file that holds the cluster's token",
        )
    }

    fn unsendable(&self, ask: &Ask<'_>) -> ConnectError {
        ask.error(
            Kind::Auth,
            &format!(
                "the token from {} has characters that no header can carry",
                self.token_source
            ),
            "check it for line breaks and characters beyond ASCII",
        )
    }

    /// `text` from a server, safe to show: one line, bounded, and without our token, which a
    /// server might echo.
    pub(super) fn scrub(&self, text: &str) -> String {
        let text = match &self.token {
            Some(token) if !token.is_empty() => text.replace(token.as_str(), "***"),
            _ => text.to_owned(),
        };
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(200)
            .collect()
    }
}

struct Found {
    token: Option<String>,
    place: String,
}

fn search(env: &Env) -> Found {
    if let Some(token) = env.get("RAY_AUTH_TOKEN") {
        return Found {
            token: Some(token),
            place: "RAY_AUTH_TOKEN".to_owned(),
        };
    }
    if let Some(path) = env.get("RAY_AUTH_TOKEN_PATH") {
        let token = first_line(env, &path);
        let fault = if token.is_some() {
            ""
        } else {
            ", missing or empty"
        };
        return Found {
            token,
            place: format!("the file {path} (RAY_AUTH_TOKEN_PATH{fault})"),
        };
    }
    let mut looked = vec![
        "RAY_AUTH_TOKEN".to_owned(),
        "RAY_AUTH_TOKEN_PATH".to_owned(),
    ];
    for path in default_files(env) {
        if let Some(token) = first_line(env, &path) {
            return Found {
                token: Some(token),
                place: format!("the file {path}"),
            };
        }
        looked.push(path);
    }
    Found {
        token: None,
        place: looked.join(", "),
    }
}

fn default_files(env: &Env) -> Vec<String> {
    let kubernetes = is_on(env, "RAY_ENABLE_K8S_TOKEN_AUTH").then(|| K8S_TOKEN.to_owned());
    let home = env
        .get("HOME")
        .map(|home| format!("{home}/.ray/auth_token"));
    kubernetes.into_iter().chain(home).collect()
}

/// Ray reads one line and trims it.
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

/// Ray's booleans: `1` or `true`, any case.
fn is_on(env: &Env, name: &str) -> bool {
    env.get(name)
        .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "true"))
}
