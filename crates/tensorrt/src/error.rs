//! Why a library is of no help.

use crate::Kind;

/// Every variant says what was found; [`LibraryError::hints`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// A program built without any.
    #[error("this program was built without TensorRT's libraries")]
    NotBuiltIn,
    /// Not where libraries lie.
    #[error("{name}: no such library ({said})")]
    NotFound {
        /// What was looked for.
        name: String,
        /// What the loader said of the last place.
        said: String,
    },
    /// A library of another version than this program was built for.
    #[error("{name}: found version {found}, needed {needed}")]
    Version {
        /// The library.
        name: String,
        /// What it says.
        found: String,
        /// What would do.
        needed: String,
    },
    /// Nothing to compute on.
    #[error("no NVIDIA GPU: {said}")]
    NoGpu {
        /// What the driver said, or that there is none.
        said: String,
    },
    /// A call of the driver failed.
    #[error("CUDA: {call}: {said}")]
    Cuda {
        /// The call.
        call: &'static str,
        /// What the driver says of it.
        said: String,
    },
    /// A call of the library failed.
    #[error("TensorRT: {doing}{}", lines(.said))]
    Failed {
        /// What was being done.
        doing: String,
        /// What the library said of it.
        said: Vec<String>,
    },
    /// A tensor that the engine does not take.
    #[error("tensor `{tensor}` {problem}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The caller wished it.
    #[error("stopped while the engine was built")]
    Stopped,
}

/// One line each.
fn lines(said: &[String]) -> String {
    said.iter().map(|line| format!("\n  {line}")).collect()
}

impl LibraryError {
    /// Whether something must be installed first.
    pub fn is_missing(&self) -> bool {
        matches!(
            self,
            LibraryError::NotBuiltIn | LibraryError::NotFound { .. } | LibraryError::Version { .. }
        )
    }

    /// What the user may do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match (self, crate::BUILT_FOR) {
            (LibraryError::NotBuiltIn, _) | (_, None) => {
                "build the program with `--features tensorrt` or `--features tensorrt-rtx`, or use `trtexec`"
            }
            (LibraryError::NotFound { .. } | LibraryError::Version { .. }, Some(Kind::Rtx)) => {
                "`pip download tensorrt_rtx_cu13_libs==1.7.1.116 --no-deps -d rtx && unzip -j rtx/*.whl '*.so*' -d rtx`, \
                 then `export TENSORRT_LIBS=$PWD/rtx`"
            }
            (
                LibraryError::NotFound { .. } | LibraryError::Version { .. },
                Some(Kind::Standard),
            ) => {
                "install TensorRT 11 (https://developer.nvidia.com/tensorrt) and set TENSORRT_LIBS to its folder `lib`"
            }
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
