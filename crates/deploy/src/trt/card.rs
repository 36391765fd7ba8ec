//! `<engine>.json`: what an engine was made by, for and of.
//!
//! A runtime that gets the engine of another product, version or GPU fails in its own way, up to a
//! crash. The card is read before.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use hearth_weights::AtomicFile;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Product, TensorRtError, Version, profile::InputShapes};

/// A card has a few lines.
const CARD_AT_MOST: u64 = 1 << 20;

/// What an engine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineCard {
    /// Whose engine.
    pub product: Product,
    /// Version of the builder, `11.4.0`.
    pub version: String,
    /// Of the GPU that it was built for, `9.0`; not there if it is for any that the product knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_capability: Option<String>,
    /// `fp32` or `fp16`.
    pub precision: String,
    /// The shapes that it takes.
    pub profile: Vec<InputShapes>,
    /// The file that it was built from.
    pub onnx: Source,
    /// What that file says about itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub file: String,
    /// Of its bytes.
    pub sha256: String,
}

impl Source {
    /// Reads the file through.
    pub fn of(path: &Path) -> Result<Source, TensorRtError> {
        let digest = || -> io::Result<String> {
            let mut file = File::open(path)?;
            let mut hash = Sha256::new();
            let mut buffer = vec![0; 1 << 20];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    read => hash.update(&buffer[..read]),
                }
            }
            Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
        };
        let sha256 = digest()
            .map_err(|source| TensorRtError::Unreadable { path: path.to_owned(), source })?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Source { file, sha256 })
    }
}

impl EngineCard {
    /// Where the card of `engine` lies.
    pub fn path(engine: &Path) -> PathBuf {
        let mut name = engine.file_name().unwrap_or_default().to_owned();
        name.push(".json");
        engine.with_file_name(name)
    }

    /// Takes the card of `engine` away: there will be another engine.
    pub fn remove(engine: &Path) -> Result<(), TensorRtError> {
        let path = EngineCard::path(engine);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(TensorRtError::Unwritable { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Writes the card of `engine`.
    pub fn write(&self, engine: &Path) -> Result<(), TensorRtError> {
        let path = EngineCard::path(engine);
        let text = serde_json::to_string_pretty(self).expect("a card has names for keys") + "\n";
        let write = || {
            let mut file = AtomicFile::create(&path)?;
            file.file().write_all(text.as_bytes())?;
            file.commit()
        };
        write().map_err(|source| TensorRtError::Unwritable { path: path.clone(), source })
    }

    /// Reads the card of `engine`; an engine of another program has none.
    pub fn read(engine: &Path) -> Result<Option<EngineCard>, TensorRtError> {
        let path = EngineCard::path(engine);
        let mut text = String::new();
        let read =
            File::open(&path).and_then(|file| file.take(CARD_AT_MOST).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TensorRtError::Unreadable { path, source }),
            Ok(_) => {}
        }
        let card = serde_json::from_str(&text);
        card.map(Some).map_err(|error| TensorRtError::Card { path, problem: error.to_string() })
    }

    /// The same; without a card it is not known what the engine needs.
    pub fn of(engine: &Path) -> Result<EngineCard, TensorRtError> {
        let card = EngineCard::read(engine)?;
        card.ok_or_else(|| TensorRtError::NoCard { engine: engine.to_owned() })
    }

    /// Whether a runtime of that product and version on that GPU runs the engine.
    pub fn check(
        &self,
        engine: &Path,
        product: Product,
        version: Version,
        compute_capability: Option<&str>,
    ) -> Result<(), TensorRtError> {
        let foreign = |built: String, found: String| {
            Err(TensorRtError::ForeignEngine { engine: engine.to_owned(), built, found })
        };
        if self.product != product || self.version != version.to_string() {
            let built = format!("by {} {}", self.product, self.version);
            return foreign(built, format!("{product} {version}"));
        }
        match (&self.compute_capability, compute_capability) {
            (Some(built), Some(found)) if built != found => foreign(
                format!("for compute capability {built}"),
                format!("a GPU of compute capability {found}"),
            ),
            _ => Ok(()),
        }
    }
}
