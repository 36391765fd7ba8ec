//! Why data could not be used: every variant names the file or the sample, `hints` says what to do.

use std::io;
use std::path::PathBuf;

use crate::decode::PictureError;

/// How many of many equal problems are named; the rest is counted.
pub(crate) const NAMED: usize = 10;

/// Why data could not be used. Each message is complete in one piece: there is no `source` chain.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder that could not be opened or read.
    #[error("{}: cannot be read: {problem}", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        problem: io::Error,
    },
    /// A folder that is not there, or is a file.
    #[error("{}: {}", .path.display(), no_folder(.exists))]
    NoFolder {
        /// The folder that was looked for.
        path: PathBuf,
        /// The longest part of the path that does exist.
        exists: Option<PathBuf>,
    },
    /// A file above the size limit; it was not read.
    #[error("{}: found {bytes} bytes, at most {limit} are read", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A picture that could not be decoded.
    #[error("{}: {problem}", .path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        problem: PictureError,
    },
    /// A text file that is not UTF-8.
    #[error("{}: found bytes that are not UTF-8 on line {line}, needed UTF-8 text", .path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first line with such bytes, 1-based.
        line: usize,
    },
    /// A member of a shard that cannot be used.
    #[error("{shard}: member `{member}`: {problem}")]
    Member {
        /// The shard as the user knows it.
        shard: String,
        /// Name of the picture of the sample.
        member: String,
        /// What is wrong with it or its caption.
        problem: MemberProblem,
    },
    /// An archive that cannot be used.
    #[error("{name}: {problem}")]
    Archive {
        /// The archive as the user knows it.
        name: String,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Work that needs a place for its results, and there is none.
    #[error("{what} needs a writable cache: {problem}")]
    NoCache {
        /// What was to be done.
        what: String,
        /// What the operating system said.
        problem: io::Error,
    },
    /// Whoever waited asked to stop.
    #[error("stopped before the data was ready")]
    Stopped,
    /// Entries of a list file, or caption files, that cannot be used: all of them at once.
    #[error("{}: {}", .path.display(), enumerate(.what, .problems, *.total))]
    Entries {
        /// The list file or the folder.
        path: PathBuf,
        /// What is wrong, in the plural: "captions missing".
        what: &'static str,
        /// The first ten.
        problems: Vec<String>,
        /// How many there are.
        total: usize,
    },
    /// Image/caption folders in which not one pair was found.
    #[error("no valid image-text pairs found across datasets: {}", join(.0))]
    NoPairs(Vec<NothingFound>),
    /// Inference folders in which not one picture was found.
    #[error("no pictures found: {}", join(.0))]
    NoPictures(Vec<NothingFound>),
    /// A folder that should hold one folder of pictures per class, and does not.
    #[error("no classes found: {}", .0.found)]
    NoClasses(NothingFound),
    /// A text file that should hold prompts and holds none.
    #[error("{}: found no prompt, needed one per line", .path.display())]
    NoPrompts {
        /// The file.
        path: PathBuf,
    },
    /// A tokenizer file that could not be used, or a text that it cannot encode.
    #[error("tokenizer {}: {problem}", .path.display())]
    Tokenizer {
        /// The file or folder; for a tokenizer inside a checkpoint, the checkpoint.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A recipe (of pictures or texts) whose values make no sense.
    #[error("{recipe} recipe: {problem}")]
    Recipe {
        /// `picture` or `text`.
        recipe: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A sample that a dataset refuses for a reason of its own.
    #[error("{sample}: {problem}")]
    Sample {
        /// The name of the sample.
        sample: String,
        /// What is wrong.
        problem: String,
    },
    /// More samples that cannot be read than may be left out of a data set.
    #[error("{count} of {total} samples cannot be read, at most {allowed} may be left out{}", listed(.problems, *.count))]
    TooManyUnreadable {
        /// How many were found.
        count: usize,
        /// Samples of the data set.
        total: usize,
        /// How many may be left out.
        allowed: usize,
        /// The first ten, with reasons; none where they were named before.
        problems: Vec<String>,
        /// The setting that allows them.
        key: &'static str,
    },
    /// A batch of training of which nothing is left.
    #[error("no sample of a batch can be read{}", listed(.problems, .problems.len()))]
    NothingReadable {
        /// Samples that were left out so far.
        problems: Vec<String>,
    },
    /// A panic while a sample was made: a bug, reported instead of a hang.
    #[error("{sample}: the loader panicked: {problem}")]
    Panicked {
        /// The name of the sample.
        sample: String,
        /// The panic's message.
        problem: String,
    },
    /// Several of the above, from several datasets.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<DataError>),
}

/// What is wrong with a member of a shard.
#[derive(Debug, thiserror::Error)]
pub enum MemberProblem {
    /// It is no picture that can be decoded.
    #[error(transparent)]
    Picture(PictureError),
    /// The shard could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// Above the size limit; it was not read.
    #[error("found {bytes} bytes, at most {limit} are read")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The shard is not the file that was indexed.
    #[error("the shard has changed since this run indexed it")]
    Changed,
}

/// One dataset without a usable pair or picture: what was looked for and found, and what may help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NothingFound {
    /// Where was looked, for what, and what lies there.
    pub found: String,
    /// Suggestions.
    pub hints: Vec<String>,
}

impl DataError {
    /// Suggestions in the user's words; empty where the message says it all.
    pub fn hints(&self) -> Vec<String> {
        match self {
            DataError::NoPairs(problems) | DataError::NoPictures(problems) => {
                problems.iter().flat_map(|problem| problem.hints.clone()).collect()
            }
            DataError::NoClasses(problem) => problem.hints.clone(),
            DataError::Several(errors) => errors.iter().flat_map(DataError::hints).collect(),
            DataError::Picture { problem, .. }
            | DataError::Member { problem: MemberProblem::Picture(problem), .. } => {
                problem.hint().into_iter().collect()
            }
            DataError::Archive { hint, .. } => hint.clone().into_iter().collect(),
            DataError::NoCache { .. } => {
                vec!["set HEARTH_CACHE to a folder with room for it".to_owned()]
            }
            DataError::TooManyUnreadable { count, total, key, .. } => vec![format!(
                "repair or remove these files, or set `{key}` to {} or more",
                (*count as f64 / *total as f64 * 1000.0).ceil() / 1000.0
            )],
            _ => Vec::new(),
        }
    }

    /// True where another sample may well be readable.
    pub fn is_of_one_sample(&self) -> bool {
        // A shard that was changed is wrong as a whole.
        let changed = matches!(self, DataError::Member { problem: MemberProblem::Changed, .. });
        !changed
            && matches!(
                self,
                DataError::Unreadable { .. }
                    | DataError::TooLarge { .. }
                    | DataError::Picture { .. }
                    | DataError::Member { .. }
                    | DataError::NotUtf8 { .. }
                    | DataError::Sample { .. }
            )
    }

    /// One error from one or more; `None` from none.
    pub(crate) fn from_many(mut errors: Vec<DataError>) -> Option<DataError> {
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(DataError::Several(errors)),
        }
    }
}

fn no_folder(exists: &Option<PathBuf>) -> String {
    match exists {
        Some(path) => format!("no such folder, `{}` is the part that exists", path.display()),
        None => "no such folder".to_owned(),
    }
}

fn enumerate(what: &str, problems: &[String], total: usize) -> String {
    format!("{total} {what}{}", listed(problems, total))
}

/// `: first, second, and 3 more`; nothing where nothing is named.
fn listed(problems: &[String], total: usize) -> String {
    let rest = match total.saturating_sub(problems.len()) {
        _ if problems.is_empty() => return String::new(),
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!(": {}{rest}", problems.join(", "))
}

fn join(problems: &[NothingFound]) -> String {
    problems.iter().map(|problem| problem.found.as_str()).collect::<Vec<_>>().join("; ")
}
