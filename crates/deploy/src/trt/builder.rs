//! Whatever builds an engine: `trtexec`, or TensorRT's libraries where this program has them.

use std::{io::Write, path::Path};

use hearth_tensorrt::{BUILT_FOR, BuildOptions, Kind, Library, Shapes};
use hearth_weights::AtomicFile;

use super::{EngineCard, Listener, Order, Plan, Product, Source, TensorRtError, Trtexec, Version};
use crate::error::FileError;

/// A builder that was found.
#[derive(Debug)]
pub enum Builder {
    /// The program.
    Program(Trtexec),
    /// The libraries.
    Library(Library),
}

/// Memory for trying algorithms is given in these.
const MIB: usize = 1 << 20;

impl Builder {
    /// The program that `TRTEXEC` names; else the libraries, where this program was built with them;
    /// else `trtexec` of the system.
    pub fn find() -> Result<Builder, TensorRtError> {
        let named = std::env::var_os("TRTEXEC").is_some_and(|value| !value.is_empty());
        if !named && BUILT_FOR.is_some() {
            let missing = match Library::load() {
                Ok(library) => return Ok(Builder::Library(library)),
                Err(error) => error,
            };
            // Engines of the RTX kind are another product: nothing stands in for its library.
            return match (BUILT_FOR, Trtexec::find()) {
                (Some(Kind::Standard), Ok(program)) => Ok(Builder::Program(program)),
                _ => Err(missing.into()),
            };
        }
        Ok(Builder::Program(Trtexec::find()?))
    }

    /// Whose engines it builds.
    pub fn product(&self) -> Product {
        match self {
            Builder::Program(program) => program.product,
            Builder::Library(_) if BUILT_FOR == Some(Kind::Rtx) => Product::Rtx,
            Builder::Library(_) => Product::Standard,
        }
    }

    /// The version of the product.
    pub fn version(&self) -> Version {
        match self {
            Builder::Program(program) => program.version,
            Builder::Library(library) => {
                let (major, minor, patch) = library.version();
                Version(major, minor, patch)
            }
        }
    }

    /// What of `order` it cannot do, and why.
    pub fn leaves_out(&self, order: &Order) -> Vec<&'static str> {
        let mut left = Vec::new();
        let keeps = matches!(self, Builder::Program(_)) && self.product() == Product::Standard;
        if order.timing_cache.is_some() && !keeps {
            left.push(match self.product() {
                Product::Rtx => {
                    "`timing_cache` has no effect: TensorRT-RTX chooses its algorithms on the machine that runs the engine"
                }
                Product::Standard => {
                    "`timing_cache` has no effect through the library; `trtexec`, named by TRTEXEC, keeps one"
                }
            });
        }
        if order.half && self.version().0 < 10 && self.product() == Product::Standard {
            left.push(
                "TensorRT before 10 takes the types of the graph as a wish: it may compute in fp16 what the check saw in fp32",
            );
        }
        left
    }

    /// Builds `engine`, made of `source`, and its card. Each appears complete or not at all, and a
    /// card never stands beside another engine.
    pub fn build(
        &self,
        order: &Order,
        source: Source,
        engine: &Path,
        listener: &mut Listener<'_>,
    ) -> Result<EngineCard, TensorRtError> {
        let compute_capability = match self {
            Builder::Library(library) => library.compute_capability(order.gpu)?,
            // It does not say.
            Builder::Program(_) => None,
        };
        match self {
            Builder::Program(program) => program.build(order, engine, listener)?,
            Builder::Library(library) => {
                let plan = library.build(&order.onnx, &options(order), &mut adapted(listener))?;
                EngineCard::remove(engine)?;
                write(&plan, engine)?;
            }
        }
        let card = EngineCard {
            product: self.product(),
            version: self.version().to_string(),
            compute_capability,
            precision: if order.half { "fp16" } else { "fp32" }.to_owned(),
            profile: order.profile.inputs.clone(),
            plan: Plan::of(engine)?,
            onnx: source,
            metadata: order.metadata.clone(),
        };
        card.write(engine)?;
        Ok(card)
    }
}

fn options(order: &Order) -> BuildOptions {
    let shapes = order.profile.inputs.iter().filter(|_| order.profile.open).map(|input| Shapes {
        name: input.name.clone(),
        min: input.min.clone(),
        opt: input.opt.clone(),
        max: input.max.clone(),
    });
    BuildOptions {
        shapes: shapes.collect(),
        workspace: (order.workspace > 0).then(|| order.workspace.saturating_mul(MIB)),
        gpu: order.gpu,
        verbose: order.verbose,
    }
}

fn adapted<'a>(listener: &'a mut Listener<'_>) -> hearth_tensorrt::Listener<'a> {
    hearth_tensorrt::Listener { say: &mut *listener.say, stopped: listener.stopped }
}

fn write(plan: &[u8], engine: &Path) -> Result<(), TensorRtError> {
    let write = || {
        let mut file = AtomicFile::create(engine)?;
        file.file().write_all(plan)?;
        file.commit()
    };
    Ok(write().map_err(FileError::writing(engine))?)
}
