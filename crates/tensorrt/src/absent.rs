//! What stands in for the libraries in a program that was built without them: nothing can be made of
//! these types.

use std::path::Path;

use crate::{BuildOptions, LibraryError, Listener, Slot, Tensor};

/// Never there.
#[derive(Debug)]
pub enum Library {}

/// Never there.
#[derive(Debug)]
pub enum Engine {}

impl Library {
    /// Always says that nothing is built in.
    pub fn load() -> Result<Library, LibraryError> {
        Err(LibraryError::NotBuiltIn)
    }

    /// See the libraries.
    pub fn version(&self) -> (u32, u32, u32) {
        match *self {}
    }

    /// See the libraries.
    pub fn compute_capability(&self, _gpu: usize) -> Result<Option<String>, LibraryError> {
        match *self {}
    }

    /// See the libraries.
    pub fn build(
        &self,
        _onnx: &Path,
        _options: &BuildOptions,
        _listener: &mut Listener<'_>,
    ) -> Result<Vec<u8>, LibraryError> {
        match *self {}
    }

    /// See the libraries.
    pub fn engine(&self, _plan: Vec<u8>, _gpu: usize) -> Result<Engine, LibraryError> {
        match *self {}
    }
}

impl Engine {
    /// See the libraries.
    pub fn slots(&self) -> &[Slot] {
        match *self {}
    }

    /// See the libraries.
    pub fn run(&mut self, _inputs: Vec<Tensor>) -> Result<Vec<Tensor>, LibraryError> {
        match *self {}
    }
}
