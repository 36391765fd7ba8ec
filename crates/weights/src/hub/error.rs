//! Why a hub name did not become a local file.

use std::{io, path::PathBuf};

use crate::names::in_backticks;

/// Every variant names the repository or the address; the token is in none of them.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Not in the cache, and asking for it is forbidden.
    #[error("`{name}`: `{file}` is not in the cache, and `HF_HUB_OFFLINE` forbids to fetch it")]
    Offline {
        /// The repository, with its revision where that is not `main`.
        name: String,
        /// The first file that is missing.
        file: String,
        /// Where it would lie.
        folder: PathBuf,
    },
    /// A variable of the environment cannot be used.
    #[error("environment variable `{variable}`: {problem}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What was found and what is needed; never the value of a token.
        problem: String,
    },
    /// The other side could not be reached, or went away.
    #[error("{url}: no connection")]
    Unreachable {
        /// Without query.
        url: String,
        /// What the network said.
        source: io::Error,
    },
    /// Silence, or next to it.
    #[error("{url}: no answer for {seconds} s")]
    TimedOut {
        /// Without query.
        url: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The hub knows no such repository, or does not show it.
    #[error("`{name}`: no such repository at {endpoint}")]
    NoRepository {
        /// The repository.
        name: String,
        /// The hub or its mirror.
        endpoint: String,
        /// A private repository looks the same to a stranger.
        has_token: bool,
    },
    /// The repository has no such branch, tag or commit.
    #[error("`{name}`: no revision `{revision}`")]
    NoRevision {
        /// The repository.
        name: String,
        /// What was asked for.
        revision: String,
    },
    /// The repository does not hold what is needed.
    #[error("`{name}`: the repository does not hold {}", in_backticks(.files))]
    NoFile {
        /// The repository.
        name: String,
        /// One file, or all of which one would have done.
        files: Vec<String>,
    },
    /// The repository is private, or its terms have not been accepted.
    #[error("{url}: access refused (HTTP {status})")]
    Denied {
        /// Without query.
        url: String,
        /// 401 or 403.
        status: u16,
        /// Whether a token was sent.
        has_token: bool,
        /// Where the terms are accepted.
        page: String,
    },
    /// Any other answer than a file.
    #[error("{url}: found HTTP {status}, need the file")]
    Status {
        /// Without query.
        url: String,
        /// The code.
        status: u16,
    },
    /// An answer that makes no sense.
    #[error("{url}: {problem}")]
    Answer {
        /// Without query.
        url: String,
        /// What was found and what is needed.
        problem: String,
    },
    /// More or fewer bytes than announced.
    #[error("{url}: found {found} bytes, need {needed} as announced")]
    Size {
        /// Without query.
        url: String,
        /// What came; where more was to come, one more than is allowed.
        found: u64,
        /// What the hub announced.
        needed: u64,
    },
    /// Another content than announced; it was not kept.
    #[error("{url}: the content has SHA-256 {found}, need {needed} as announced")]
    Hash {
        /// Without query.
        url: String,
        /// Of what came.
        found: String,
        /// Of what the hub announced.
        needed: String,
    },
    /// The file does not fit on the disk.
    #[error("{}: found {free} bytes of free space, `{file}` needs {needed}", .folder.display())]
    NoSpace {
        /// The cache.
        folder: PathBuf,
        /// What was to be fetched.
        file: String,
        /// Bytes that can be written.
        free: u64,
        /// Bytes that are still to come.
        needed: u64,
    },
    /// The caller wanted it so.
    #[error("`{name}`: stopped before everything was fetched")]
    Stopped {
        /// The repository.
        name: String,
    },
}

impl HubError {
    /// The network is to blame: another attempt, or what lies in the cache, may do.
    pub(super) fn is_of_the_network(&self) -> bool {
        match self {
            HubError::Unreachable { .. } | HubError::TimedOut { .. } => true,
            HubError::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }

    /// Nothing was learnt about the repository: what lies in the cache has to do.
    pub(super) fn is_no_answer(&self) -> bool {
        let is_refusal = matches!(
            self,
            HubError::Status { .. }
                | HubError::Denied { .. }
                | HubError::NoRepository { .. }
                | HubError::NoRevision { .. }
        );
        is_refusal || self.is_of_the_network()
    }

    /// There is no network, no such host or no trust: at the first question waiting would not help.
    pub(super) fn is_nobody_there(&self) -> bool {
        matches!(self, HubError::Unreachable { .. })
    }

    /// What the user can do, one action each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            HubError::Offline { name, folder, .. } => vec![
                format!(
                    "put the files of the repository into {}, or name a local folder",
                    folder.display()
                ),
                format!(
                    "or run `hf download {}` where there is a network and copy the cache",
                    name.split('@').next().unwrap_or(name)
                ),
            ],
            HubError::Unreachable { .. } | HubError::TimedOut { .. } => vec![
                "try again: what was fetched is kept; `HF_ENDPOINT` names a mirror, \
                 `HF_HUB_OFFLINE=1` uses the cache alone"
                    .to_owned(),
            ],
            HubError::NoRepository { name, has_token, .. } => {
                let mut hints = vec![format!(
                    "there is no local file or folder `{name}` either: check the spelling of both"
                )];
                if !has_token {
                    hints.push("a private repository needs `HF_TOKEN`".to_owned());
                }
                hints
            }
            HubError::NoFile { name, .. } => {
                vec![format!("`hf://{name}/FILE` names a file of the repository")]
            }
            HubError::Denied { has_token: false, page, .. } => vec![format!(
                "set `HF_TOKEN` to a token that may read the repository; a gated one asks to \
                 accept its terms at {page} first"
            )],
            HubError::Denied { has_token: true, page, .. } => vec![format!(
                "the token does not open this repository: accept its terms at {page}, or use the \
                 token of an account that may read it"
            )],
            HubError::Size { .. } | HubError::Hash { .. } => vec![
                "nothing of it was kept: try again, and if it comes back distrust the mirror or \
                 the proxy in between"
                    .to_owned(),
            ],
            HubError::NoSpace { .. } => {
                vec!["free some space, or set `HF_HOME` to a folder on another disk".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}
