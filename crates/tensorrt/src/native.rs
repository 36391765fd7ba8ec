//! The libraries behind the crate `trtx`.

mod builder;
mod cuda;
mod engine;
mod log;

use std::path::{Path, PathBuf};

pub use engine::Engine;

use crate::{BuildOptions, LibraryError, Listener};

/// The library, and its parser of ONNX files.
#[cfg(feature = "tensorrt-rtx")]
const NAMES: [&str; 2] = ["libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1"];
#[cfg(not(feature = "tensorrt-rtx"))]
const NAMES: [&str; 2] = ["libnvinfer.so.11", "libnvonnxparser.so.11"];

/// Whether the library asks a GPU while it builds.
const ASKS_GPU: bool = !cfg!(feature = "tensorrt-rtx");

/// A loaded library. It stays for as long as the program runs.
#[derive(Debug)]
pub struct Library {
    version: (u32, u32, u32),
}

impl Library {
    /// Loads the library and its parser: of the folder that the variable `TENSORRT_LIBS` names, of
    /// that of this program, or from where the loader looks.
    pub fn load() -> Result<Library, LibraryError> {
        let library = first(NAMES[0])?;
        let version = check_version(&library)?;
        if ASKS_GPU {
            // The library crashes where it finds no driver.
            cuda::Cuda::load()?;
        }
        let failed = |error: trtx::Error| LibraryError::NotFound {
            name: library.display().to_string(),
            said: error.to_string(),
        };
        trtx::dynamically_load_tensorrt(Some(library.as_os_str())).map_err(failed)?;
        let parser = first(NAMES[1])?;
        let failed = |error: trtx::Error| LibraryError::NotFound {
            name: parser.display().to_string(),
            said: error.to_string(),
        };
        trtx::dynamically_load_tensorrt_onnxparser(Some(parser.as_os_str())).map_err(failed)?;
        Ok(Library { version })
    }

    /// Major, minor, patch.
    pub fn version(&self) -> (u32, u32, u32) {
        self.version
    }

    /// Of the GPU, `9.0`, if engines are made for one kind.
    pub fn compute_capability(&self, gpu: usize) -> Result<Option<String>, LibraryError> {
        match ASKS_GPU {
            true => cuda::Cuda::load()?.compute_capability(gpu).map(Some),
            false => Ok(None),
        }
    }

    /// Builds an engine of the ONNX file, whose types it keeps. Two builds give the same bytes where
    /// the library does not measure.
    pub fn build(
        &self,
        onnx: &Path,
        options: &BuildOptions,
        listener: &mut Listener<'_>,
    ) -> Result<Vec<u8>, LibraryError> {
        builder::build(onnx, options, listener)
    }

    /// Makes ready to run what [`Library::build`] gave.
    pub fn engine(&self, plan: Vec<u8>, gpu: usize) -> Result<Engine, LibraryError> {
        Engine::new(plan, gpu)
    }
}

/// The first place that has the library: a path, or its bare name for the loader's own places.
fn first(name: &str) -> Result<PathBuf, LibraryError> {
    let named = std::env::var_os("TENSORRT_LIBS").filter(|folder| !folder.is_empty());
    if let Some(folder) = named {
        let path = Path::new(&folder).join(name);
        return match path.is_file() {
            true => Ok(path),
            false => Err(LibraryError::NotFound {
                name: path.display().to_string(),
                said: "TENSORRT_LIBS names its folder".to_owned(),
            }),
        };
    }
    let beside = std::env::current_exe().ok().map(|program| program.with_file_name(name));
    Ok(beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(name)))
}

/// Asks the library before anything else is called: what lies behind its calls changes with the
/// version.
fn check_version(library: &Path) -> Result<(u32, u32, u32), LibraryError> {
    let found = parts(cuda::library_version(library)?);
    let needed = parts(cuda::header_version());
    // Versions of one major number keep what they have; an older one may lack what is called.
    if found.0 != needed.0 || found < (needed.0, needed.1, 0) {
        let (major, minor) = (needed.0, needed.1);
        return Err(LibraryError::Version {
            name: library.display().to_string(),
            found: format!("{}.{}.{}", found.0, found.1, found.2),
            needed: format!("{major}.{minor} or a later {major}"),
        });
    }
    Ok(found)
}

/// 110400 is 11.4.0, 10701 is 1.7.1 of the RTX kind.
fn parts(number: u32) -> (u32, u32, u32) {
    (number / 10_000, number / 100 % 100, number % 100)
}
