//! Where the cache is, who is asked and with which token: the environment, by huggingface_hub's rules.

use std::{
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::error::HubError;
use crate::folder::read_limited;

const PUBLIC_HUB: &str = "https://huggingface.co";
/// What decides the cache where no variable does.
const DEFAULT: &str = "default";
/// A longer file is no token.
const MAX_TOKEN_BYTES: u64 = 4096;
const TIMEOUTS_S: std::ops::RangeInclusive<u64> = 1..=3600;

/// How the hub is used.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Holds `models--ORG--NAME`.
    pub cache: PathBuf,
    /// The hub or a mirror: scheme, host and perhaps a path, without a slash at its end.
    pub endpoint: String,
    /// For the endpoint's eyes only.
    pub token: Option<Token>,
    /// Certificates (PEM) to trust instead of Mozilla's: a mirror may have its own.
    pub certificates: Option<PathBuf>,
    /// No socket is ever opened.
    pub offline: bool,
    /// When to give up.
    pub patience: Patience,
}

/// When to give up on the other side.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Silence of this length ends an attempt.
    pub timeout: Duration,
    /// Attempts in a row that bring nothing.
    pub attempts: u32,
    /// Before the second attempt; doubles with each further one.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { timeout: Duration::from_secs(30), attempts: 5, pause: Duration::from_secs(1) }
    }
}

/// A secret: it has no way into a message.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Needs what an HTTP header can carry.
    pub fn new(text: &str) -> Option<Token> {
        let text = text.trim();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Token(text.to_owned()))
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Hub {
    /// The settings of this process's environment.
    pub fn from_environment() -> Result<Hub, HubError> {
        Hub::from_variables(&|name| env::var_os(name))
    }

    /// The same, from any set of variables.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Hub, HubError> {
        let text = |name| set(variable, name).map(|value| value.to_string_lossy().into_owned());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| PUBLIC_HUB.to_owned());
        let (cache, from) = cache_folder(variable);
        if from == DEFAULT && set(variable, "HOME").is_none() {
            let problem = "not set, and neither is `HF_HOME`: need a folder for the cache";
            return Err(HubError::Variable { variable: "HOME", problem: problem.to_owned() });
        }
        Ok(Hub {
            cache,
            endpoint: check_endpoint(endpoint.trim_end_matches('/'))?,
            token: token(variable)?,
            certificates: path(variable, "SSL_CERT_FILE")
                .or_else(|| path(variable, "REQUESTS_CA_BUNDLE")),
            offline: text("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
            patience: patience(text("HF_HUB_DOWNLOAD_TIMEOUT"))?,
        })
    }
}

/// The folder of cached models, and what decides it.
pub fn cache_folder(variable: &dyn Fn(&str) -> Option<OsString>) -> (PathBuf, &'static str) {
    if let Some(folder) = path(variable, "HF_HUB_CACHE") {
        return (folder, "HF_HUB_CACHE");
    }
    let (home, from) = home_folder(variable);
    (home.join("hub"), from)
}

/// `$HF_HOME`, where the token lies too.
fn home_folder(variable: &dyn Fn(&str) -> Option<OsString>) -> (PathBuf, &'static str) {
    if let Some(home) = path(variable, "HF_HOME") {
        return (home, "HF_HOME");
    }
    if let Some(cache) = path(variable, "XDG_CACHE_HOME") {
        return (cache.join("huggingface"), "XDG_CACHE_HOME");
    }
    let home = set(variable, "HOME").map(PathBuf::from).unwrap_or_default();
    (home.join(".cache/huggingface"), DEFAULT)
}

/// An empty variable counts as unset.
fn set(variable: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Option<OsString> {
    variable(name).filter(|value| !value.is_empty())
}

fn path(variable: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(set(variable, name)?);
    match (path.strip_prefix("~"), set(variable, "HOME")) {
        (Ok(rest), Some(home)) => Some(Path::new(&home).join(rest)),
        _ => Some(path),
    }
}

fn check_endpoint(endpoint: &str) -> Result<String, HubError> {
    let wrong = |problem: &str| {
        Err(HubError::Variable { variable: "HF_ENDPOINT", problem: problem.to_owned() })
    };
    // The value is not repeated: it may hold a password.
    let Ok(uri) = endpoint.parse::<ureq::http::Uri>() else {
        return wrong("not an address, need one such as `https://huggingface.co`");
    };
    let host = uri.authority().map_or("", |authority| authority.as_str());
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return wrong("need an address that begins with `https://` or `http://` and names a host");
    }
    if host.contains('@') || uri.query().is_some() {
        return wrong("need an address without user, password and query; a token is `HF_TOKEN`");
    }
    Ok(endpoint.to_owned())
}

fn token(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<Token>, HubError> {
    let wrong = |variable| HubError::Variable {
        variable,
        problem: "holds characters that no token has".to_owned(),
    };
    if let Some(text) = set(variable, "HF_TOKEN") {
        let text = text.to_string_lossy();
        let is_blank = text.trim().is_empty();
        return if is_blank {
            Ok(None)
        } else {
            Token::new(&text).map(Some).ok_or_else(|| wrong("HF_TOKEN"))
        };
    }
    let file =
        path(variable, "HF_TOKEN_PATH").unwrap_or_else(|| home_folder(variable).0.join("token"));
    let Ok(bytes) = read_limited(&file, MAX_TOKEN_BYTES) else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    if text.trim().is_empty() {
        return Ok(None);
    }
    Token::new(&text).map(Some).ok_or_else(|| wrong("HF_TOKEN_PATH"))
}

fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

fn patience(seconds: Option<String>) -> Result<Patience, HubError> {
    let Some(text) = seconds else { return Ok(Patience::default()) };
    match text.parse::<u64>() {
        Ok(seconds) if TIMEOUTS_S.contains(&seconds) => {
            Ok(Patience { timeout: Duration::from_secs(seconds), ..Patience::default() })
        }
        _ => Err(HubError::Variable {
            variable: "HF_HUB_DOWNLOAD_TIMEOUT",
            problem: format!("found `{text}`, need whole seconds from 1 to 3600"),
        }),
    }
}
