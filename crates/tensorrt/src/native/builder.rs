//! Building: on a thread of its own, so that its lines arrive while it works.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use trtx::{
    Builder, Logger, OnnxParser,
    builder::{MemoryPoolType, ProfilingVerbosity},
    interfaces::MonitorProgress,
};
use trtx_sys::{Dims64, OptProfileSelector};

#[cfg(not(feature = "tensorrt-rtx"))]
use super::cuda::Cuda;
use super::log::{Lines, remember};
use crate::{BuildOptions, LibraryError, Listener};

/// The builder walks graphs by calling itself.
const STACK: usize = 64 << 20;

/// How often the wait for a line looks at the stop flag.
const LOOK: Duration = Duration::from_millis(200);

/// Tells the builder to end.
struct StopFlag(Arc<AtomicBool>);

impl MonitorProgress for StopFlag {
    fn phase_start(&self, _phase: &str, _parent: Option<&str>, _steps: i32) {}

    fn step_complete(&self, _phase: &str, _step: i32) -> ControlFlow<()> {
        match self.0.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn phase_finish(&self, _phase: &str) {}
}

pub(super) fn build(
    onnx: &Path,
    options: &BuildOptions,
    listener: &mut Listener<'_>,
) -> Result<Vec<u8>, LibraryError> {
    let (sender, lines) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let mut errors = Vec::new();
    let built = thread::scope(|scope| {
        let handler = Lines { sender, verbose: options.verbose };
        let flag = StopFlag(stop.clone());
        let work = thread::Builder::new()
            .name("tensorrt".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, move || plan(onnx, options, handler, flag))
            .map_err(|error| failed(format!("no thread: {error}")))?;
        loop {
            match lines.recv_timeout(LOOK) {
                Ok(line) => {
                    (listener.say)(&line.text);
                    remember(&mut errors, line);
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The logger is gone, and with it the work.
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if (listener.stopped)() {
                stop.store(true, Ordering::Relaxed);
            }
        }
        work.join().unwrap_or_else(|_| Err(failed("the builder broke down".to_owned())))
    });
    match built {
        Err(_) if stop.load(Ordering::Relaxed) => Err(LibraryError::Stopped),
        Err(LibraryError::Failed { doing, .. }) => {
            Err(LibraryError::Failed { doing, said: errors })
        }
        other => other,
    }
}

fn failed(doing: String) -> LibraryError {
    LibraryError::Failed { doing, said: Vec::new() }
}

/// The whole work.
fn plan(
    onnx: &Path,
    options: &BuildOptions,
    handler: Lines,
    flag: StopFlag,
) -> Result<Vec<u8>, LibraryError> {
    let doing = |what: &str| {
        let what = what.to_owned();
        move |error: trtx::Error| failed(format!("{what}: {error}"))
    };
    // The library builds for the GPU that is current.
    #[cfg(not(feature = "tensorrt-rtx"))]
    let _current = Cuda::load()?.context(options.gpu)?;
    let logger = Logger::new(handler).map_err(doing("logger"))?;
    let mut builder = Builder::new(&logger).map_err(doing("builder"))?;
    // Bit 0 asks for a strongly typed network, which the versions that are loaded here always are.
    let network = builder.create_network(1).map_err(doing("network"))?;
    let mut parser = OnnxParser::new(network, &logger).map_err(doing("parser"))?;
    let path =
        onnx.to_str().ok_or_else(|| failed("the path of the graph is not UTF-8".to_owned()))?;
    // From the file, so that values beside it are found.
    parser.parse_from_file(path, 2).map_err(|_| failed(format!("{path}: not accepted")))?;
    let mut config = builder.create_builder_config().map_err(doing("configuration"))?;
    config.set_progress_monitor(Box::new(flag)).map_err(doing("progress"))?;
    config.set_profiling_verbosity(ProfilingVerbosity::kDETAILED);
    if let Some(bytes) = options.workspace {
        config.set_memory_pool_limit(MemoryPoolType::kWORKSPACE, bytes);
    }
    if !options.shapes.is_empty() {
        let mut profile = builder.creata_optimization_profile().map_err(doing("profile"))?;
        for input in &options.shapes {
            let each = [
                (OptProfileSelector::kMIN, &input.min),
                (OptProfileSelector::kOPT, &input.opt),
                (OptProfileSelector::kMAX, &input.max),
            ];
            for (which, shape) in each {
                profile
                    .set_dimensions(&input.name, which, &dims(&input.name, shape)?)
                    .map_err(doing("shapes of an input"))?;
            }
        }
        config.add_optimization_profile(&mut profile).map_err(doing("profile"))?;
    }
    let plan = builder.build_serialized_network(parser.network_mut(), &mut config);
    plan.map(|plan| plan.to_vec()).map_err(|_| failed("no engine".to_owned()))
}

/// A shape as the library has it: eight sides at most.
pub(super) fn dims(name: &str, shape: &[i64]) -> Result<Dims64, LibraryError> {
    let mut d = [0; 8];
    let Some(sides) = d.get_mut(..shape.len()) else {
        let problem = format!("has {} sides, at most 8 are possible", shape.len());
        return Err(LibraryError::Tensor { tensor: name.to_owned(), problem });
    };
    sides.copy_from_slice(shape);
    Ok(Dims64 { nbDims: shape.len() as i32, d })
}
