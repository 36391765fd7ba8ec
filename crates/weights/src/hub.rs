//! Hub names: `ORG/NAME` becomes a local file, from the cache or from a Hugging Face hub.
//!
//! The cache is the one of huggingface_hub, read and written by its rules, so that what Python
//! fetched need not be fetched again and the other way round. Weights that are in the cache are
//! used without opening a socket. What comes over the network is checked before it gets a name:
//! large files (LFS) by SHA-256, the small texts beside them by their size, since git's own hash of
//! them is SHA-1.

mod cache;
mod choice;
mod error;
mod http;
mod name;
mod settings;
mod transfer;
mod watch;

use std::{ops::ControlFlow, path::PathBuf};

pub use error::HubError;
pub use name::HubName;
pub use settings::{Hub, Patience, Token, cache_folder};
pub use watch::Event;

use cache::{Cached, Repository};
use choice::Choice;
use http::{Announced, Asked, Client};
use transfer::Transfer;
use watch::Watch;

use crate::error::WeightsError;

/// Larger than any vocabulary.
const MAX_COMPANION_BYTES: u64 = 256 << 20;

impl Hub {
    /// The file that holds the weights of `name`, with configuration and tokenizer beside it. The
    /// listener hears what happens; its `Break` ends the work, and what has come so far is kept.
    pub fn fetch(
        &self,
        name: &HubName,
        listener: &mut dyn FnMut(&Event<'_>) -> ControlFlow<()>,
    ) -> Result<PathBuf, WeightsError> {
        let repository = Repository::new(&self.cache, name);
        let weights = match repository.look_up(name)? {
            Cached::Whole(weights) => return Ok(weights),
            Cached::Weights(weights) if self.offline => return Ok(weights),
            Cached::Weights(weights) => Some(weights),
            Cached::Lacks(file) if self.offline => {
                let folder = repository.snapshot(&repository.commit(name.revision()));
                return Err(HubError::Offline { name: name.to_string(), file, folder }.into());
            }
            Cached::Lacks(_) => None,
        };
        let mut watch = Watch { name: name.to_string(), listener };
        watch.tell(&Event::Asking { endpoint: &self.endpoint })?;
        let mut visit = Visit {
            hub: self,
            client: Client::new(self, name)?,
            repository: &repository,
            name,
            // What belongs to weights in the cache is of their commit, not of a newer one.
            commit: weights.as_ref().map(|_| repository.commit(name.revision())),
            has_answered: false,
            watch,
        };
        match (visit.fetch(), weights) {
            (Err(WeightsError::Hub(error)), Some(weights)) if error.is_no_answer() => {
                visit.watch.tell(&Event::Settling { error: &error })?;
                Ok(weights)
            }
            (outcome, _) => outcome,
        }
    }

    /// The file that holds the weights of `name`, if the cache has it; asks nobody.
    pub fn cached(&self, name: &HubName) -> Result<Option<PathBuf>, WeightsError> {
        Ok(match Repository::new(&self.cache, name).look_up(name)? {
            Cached::Whole(weights) | Cached::Weights(weights) => Some(weights),
            Cached::Lacks(_) => None,
        })
    }
}

/// One conversation with the hub about one repository.
struct Visit<'a, 'w> {
    hub: &'a Hub,
    client: Client,
    repository: &'a Repository,
    name: &'a HubName,
    /// What the revision means, as soon as the hub said so: all files are of the same commit.
    commit: Option<String>,
    has_answered: bool,
    watch: Watch<'w>,
}

impl Visit<'_, '_> {
    /// The small files first, so that weights in the cache mean that everything is.
    fn fetch(&mut self) -> Result<PathBuf, WeightsError> {
        let meant = self.name.file();
        for kind in choice::COMPANIONS {
            let mut has_tokenizer = false;
            for file in kind.iter().filter(|file| Some(**file) != meant) {
                if choice::is_needed(file, has_tokenizer) {
                    let found = self.get(&choice::beside(meant, file), MAX_COMPANION_BYTES)?;
                    has_tokenizer |= found.is_some() && *file == "tokenizer.json";
                }
            }
        }
        let weights = match choice::weights(meant, &mut |file| self.get(file, u64::MAX))? {
            Choice::Found(weights) => weights,
            // Not one answer named a commit: there is nothing behind the name.
            Choice::Lacks(_) if self.commit.is_none() => {
                return Err(self.client.no_repository().into());
            }
            Choice::Lacks(files) => {
                return Err(HubError::NoFile { name: self.name.to_string(), files }.into());
            }
        };
        if let Some(commit) = &self.commit {
            self.repository.note_commit(self.name.revision(), commit)?;
        }
        Ok(weights)
    }

    /// A file of the repository, unless it has none of that name.
    fn get(&mut self, file: &str, most_bytes: u64) -> Result<Option<PathBuf>, WeightsError> {
        if let Some(commit) = &self.commit {
            if let Some(path) = self.repository.file(commit, file) {
                return Ok(Some(path));
            }
            if self.repository.is_known_to_lack(commit, file) {
                return Ok(None);
            }
        }
        let revision = self.commit.as_deref().unwrap_or(self.name.revision());
        let address = self.client.address(revision, file);
        let announced = match self.ask(&address)? {
            Asked::There(announced) => announced,
            Asked::Absent(commit) => {
                self.note_lack(commit, file)?;
                return Ok(None);
            }
        };
        self.agree(&announced, &address)?;
        if announced.size > most_bytes {
            let problem = format!("found {} bytes, need at most {most_bytes}", announced.size);
            return Err(HubError::Answer { url: address, problem }.into());
        }
        Transfer {
            client: &self.client,
            repository: self.repository,
            patience: self.hub.patience,
            watch: &mut self.watch,
            file,
            address: &self.client.address(&announced.commit, file),
            announced: &announced,
        }
        .run()?;
        self.repository.link(&announced.commit, file, &announced.etag).map(Some)
    }

    fn ask(&mut self, address: &str) -> Result<Asked, HubError> {
        let mut failures = 0;
        loop {
            match self.client.ask(address) {
                Ok(asked) => {
                    self.has_answered = true;
                    return Ok(asked);
                }
                Err(error) if !self.has_answered && error.is_nobody_there() => return Err(error),
                Err(error) => {
                    failures += 1;
                    self.watch.retry(error, failures, self.hub.patience)?;
                }
            }
        }
    }

    /// The first answer decides the commit, the others are held to it.
    fn agree(&mut self, announced: &Announced, address: &str) -> Result<(), HubError> {
        let commit = self.commit.get_or_insert_with(|| announced.commit.clone());
        if *commit == announced.commit {
            return Ok(());
        }
        let problem = format!("found commit {}, need {commit}", announced.commit);
        Err(HubError::Answer { url: address.to_owned(), problem })
    }

    /// What a commit lacks it lacks for ever.
    fn note_lack(&mut self, commit: Option<String>, file: &str) -> Result<(), WeightsError> {
        let Some(commit) = commit.or_else(|| self.commit.clone()) else { return Ok(()) };
        self.commit.get_or_insert_with(|| commit.clone());
        self.repository.note_lack(&commit, file)
    }
}
