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
use crate::error::FileError;

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
    /// The engine itself.
    pub plan: Plan,
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

/// The bytes of an engine, by which one is known that was cut short or replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How many.
    pub bytes: u64,
    /// Of all of them.
    pub sha256: String,
}

impl Source {
    /// Reads the file through.
    pub fn of(path: &Path) -> Result<Source, TensorRtError> {
        let Plan { sha256, .. } = Plan::of(path)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Source { file, sha256 })
    }
}

impl Plan {
    /// Reads the file through.
    pub fn of(path: &Path) -> Result<Plan, TensorRtError> {
        let read = || -> io::Result<Plan> {
            let mut file = File::open(path)?;
            let (mut hash, mut bytes) = (Sha256::new(), 0);
            let mut buffer = vec![0; 1 << 20];
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok(Plan { bytes, sha256: hex(hash) }),
                    read => {
                        hash.update(&buffer[..read]);
                        bytes += read as u64;
                    }
                }
            }
        };
        Ok(read().map_err(FileError::reading(path))?)
    }

    /// The bytes at `path`, if they are these.
    fn read(&self, path: &Path) -> Result<Vec<u8>, TensorRtError> {
        let damaged =
            |problem: String| Err(TensorRtError::Damaged { engine: path.to_owned(), problem });
        let found = fs::metadata(path).map_err(FileError::reading(path))?.len();
        if found != self.bytes {
            return damaged(format!("{found} bytes, its description says {}", self.bytes));
        }
        let plan = fs::read(path).map_err(FileError::reading(path))?;
        match hex(Sha256::new_with_prefix(&plan)) == self.sha256 {
            true => Ok(plan),
            false => damaged("not the engine that its description was written for".to_owned()),
        }
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
                Err(FileError::writing(&path)(source).into())
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
        Ok(write().map_err(FileError::writing(&path))?)
    }

    /// Reads the card of `engine`; an engine of another program has none.
    pub fn read(engine: &Path) -> Result<Option<EngineCard>, TensorRtError> {
        let path = EngineCard::path(engine);
        let mut text = String::new();
        let read =
            File::open(&path).and_then(|file| file.take(CARD_AT_MOST).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(FileError::reading(&path)(source).into()),
            Ok(_) => {}
        }
        let wrong = |problem: String| TensorRtError::Card { path: path.clone(), problem };
        let card: EngineCard =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        match card.profile.iter().find(|input| !input.is_in_order()) {
            Some(input) => Err(wrong(format!("the shapes of `{}` are not in order", input.name))),
            None => Ok(Some(card)),
        }
    }

    /// The same; without a card it is not known what the engine needs.
    pub fn of(engine: &Path) -> Result<EngineCard, TensorRtError> {
        let card = EngineCard::read(engine)?;
        card.ok_or_else(|| TensorRtError::NoCard { engine: engine.to_owned() })
    }

    /// The engine that the card was written for; fails on another.
    pub fn plan(&self, engine: &Path) -> Result<Vec<u8>, TensorRtError> {
        self.plan.read(engine)
    }

    /// Whether the library that this program was built for, if any, is of the engine's product.
    pub fn check_product(
        &self,
        engine: &Path,
        built_for: Option<Product>,
    ) -> Result<(), TensorRtError> {
        match built_for {
            Some(product) if product == self.product => Ok(()),
            Some(product) => self.foreign(engine, format!("a program for {product}")),
            None => Err(TensorRtError::NoRuntime {
                engine: engine.to_owned(),
                product: self.product,
                version: self.version.clone(),
            }),
        }
    }

    /// Whether a runtime of that product and version on that GPU runs the engine.
    pub fn check(
        &self,
        engine: &Path,
        product: Product,
        version: Version,
        compute_capability: Option<&str>,
    ) -> Result<(), TensorRtError> {
        if self.product != product || self.version != version.to_string() {
            return self.foreign(engine, format!("{product} {version}"));
        }
        match (&self.compute_capability, compute_capability) {
            (Some(built), Some(found)) if built != found => Err(TensorRtError::ForeignEngine {
                engine: engine.to_owned(),
                built: format!("for compute capability {built}"),
                found: format!("a GPU of compute capability {found}"),
            }),
            _ => Ok(()),
        }
    }

    fn foreign(&self, engine: &Path, found: String) -> Result<(), TensorRtError> {
        let built = format!("by {} {}", self.product, self.version);
        Err(TensorRtError::ForeignEngine { engine: engine.to_owned(), built, found })
    }
}
