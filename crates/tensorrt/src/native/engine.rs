//! Running: an engine with its memory on the GPU, on a thread of its own, where the library's objects
//! stay. Compiled, not executed: no test machine has both a GPU and a TensorRT that serves it.

use std::{
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
};

use trtx::{CudaEngine, ExecutionContext, Logger, Runtime};
use trtx_sys::{DataType, TensorIOMode};

use super::{
    builder::dims,
    cuda::{Context, Cuda, Memory},
    log::{Line, Lines, remember},
};
use crate::{Element, LibraryError, Slot, Tensor};

/// An engine that is ready to run.
#[derive(Debug)]
pub struct Engine {
    slots: Vec<Slot>,
    /// Inputs for the thread, which ends when this does.
    batches: Option<Sender<Vec<Tensor>>>,
    computed: Receiver<Result<Vec<Tensor>, LibraryError>>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    pub(super) fn new(plan: Vec<u8>, gpu: usize) -> Result<Engine, LibraryError> {
        let (batches, given) = mpsc::channel::<Vec<Tensor>>();
        let (results, computed) = mpsc::channel();
        let (ready, made) = mpsc::channel();
        let serve = move || {
            let made = Loaded::new(plan, gpu).and_then(|loaded| Ok((loaded.slots()?, loaded)));
            let (slots, mut loaded) = match made {
                Ok(made) => made,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            if ready.send(Ok(slots)).is_err() {
                return;
            }
            for inputs in given {
                if results.send(loaded.run(&inputs)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("tensorrt".to_owned()).spawn(serve);
        let thread = thread.map_err(|error| failed(format!("no thread: {error}")))?;
        let slots = made.recv().map_err(|_| failed(BROKEN.to_owned()))??;
        Ok(Engine { slots, batches: Some(batches), computed, thread: Some(thread) })
    }

    /// What it takes and gives, in its order.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Runs on one batch; gives all outputs, in the engine's order.
    pub fn run(&mut self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, LibraryError> {
        let broken = || failed(BROKEN.to_owned());
        let batches = self.batches.as_ref().ok_or_else(broken)?;
        batches.send(inputs).map_err(|_| broken())?;
        self.computed.recv().map_err(|_| broken())?
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.batches = None;
        // What broke there was told when it was waited for.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Said where the thread is gone.
const BROKEN: &str = "the thread of the engine broke down";

/// The library's objects. Fields are dropped in their order: what uses comes first.
struct Loaded {
    context: ExecutionContext<'static>,
    engine: CudaEngine<'static>,
    _runtime: Runtime<'static>,
    lines: Receiver<Line>,
    gpu: Context,
}

impl Loaded {
    fn new(plan: Vec<u8>, gpu: usize) -> Result<Loaded, LibraryError> {
        let gpu = Cuda::load()?.context(gpu)?;
        let (sender, lines) = mpsc::channel();
        let made = || -> trtx::Result<_> {
            // The library may speak until the program ends.
            let logger: &'static Logger =
                Box::leak(Box::new(Logger::new(Lines { sender, verbose: false })?));
            let mut runtime = Runtime::new(logger)?;
            let mut engine = runtime.deserialize_cuda_engine(&plan)?;
            let context = engine.create_execution_context()?;
            Ok((runtime, engine, context))
        };
        let (runtime, engine, context) = made().map_err(|error| LibraryError::Failed {
            doing: format!("the engine is not accepted: {error}"),
            said: said(&lines),
        })?;
        Ok(Loaded { context, engine, _runtime: runtime, lines, gpu })
    }

    fn slots(&self) -> Result<Vec<Slot>, LibraryError> {
        let mut slots = Vec::new();
        for at in 0..self.engine.nb_io_tensors().map_err(call("number of tensors"))? {
            let name = self.engine.io_tensor_name(at).map_err(call("name of a tensor"))?;
            let mode = self.engine.tensor_io_mode(&name).map_err(call("kind of a tensor"))?;
            let element = self.element(&name)?;
            slots.push(Slot { name, element, is_input: mode == TensorIOMode::kINPUT });
        }
        Ok(slots)
    }

    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, LibraryError> {
        self.gpu.make_current()?;
        let outputs = self.launch(inputs);
        let lines = said(&self.lines);
        outputs.map_err(|error| match error {
            LibraryError::Failed { doing, .. } => LibraryError::Failed { doing, said: lines },
            other => other,
        })
    }

    fn launch(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, LibraryError> {
        let mut held: Vec<Memory> = Vec::new();
        let slots = self.slots()?;
        for Slot { name, element, .. } in slots.iter().filter(|slot| slot.is_input) {
            let input = inputs.iter().find(|input| input.name == *name);
            let input = input.ok_or_else(|| wrong(name, "is an input and not given"))?;
            let count = input.shape.iter().product::<usize>();
            if input.element != *element || input.bytes.len() != count * element.width() {
                return Err(wrong(name, &format!("does not hold {count} values of {element:?}")));
            }
            let shape: Vec<i64> = input.shape.iter().map(|&side| side as i64).collect();
            let set = self.context.set_input_shape(name, &dims(name, &shape)?);
            set.map_err(|_| wrong(name, &format!("has the shape {shape:?}, outside the profile")))?;
            let memory = self.gpu.memory(input.bytes.len())?;
            memory.fill(&input.bytes)?;
            self.bind(name, &memory)?;
            held.push(memory);
        }
        let mut outputs = Vec::new();
        for Slot { name, element, .. } in slots.into_iter().filter(|slot| !slot.is_input) {
            let sides = self.context.tensor_shape(&name).map_err(call("shape of an output"))?;
            let sides = sides.d.get(..usize::try_from(sides.nbDims).unwrap_or(usize::MAX));
            let shape: Option<Vec<usize>> =
                sides.and_then(|all| all.iter().map(|&side| usize::try_from(side).ok()).collect());
            let shape = shape.ok_or_else(|| wrong(&name, "has no shape"))?;
            let size = shape.iter().product::<usize>() * element.width();
            let memory = self.gpu.memory(size)?;
            self.bind(&name, &memory)?;
            outputs.push((Tensor { name, shape, element, bytes: vec![0; size] }, memory));
        }
        // Made last, so that it waits before the memory above is given back.
        let stream = self.gpu.stream()?;
        stream.launch(&mut self.context)?;
        stream.wait()?;
        for (output, memory) in &mut outputs {
            memory.read(&mut output.bytes)?;
        }
        Ok(outputs.into_iter().map(|(output, _)| output).collect())
    }

    fn element(&self, name: &str) -> Result<Element, LibraryError> {
        match self.engine.tensor_data_type(name).map_err(call("type of a tensor"))? {
            DataType::kFLOAT => Ok(Element::Float),
            DataType::kHALF => Ok(Element::Half),
            DataType::kINT64 => Ok(Element::Int64),
            DataType::kINT32 => Ok(Element::Int32),
            other => Err(wrong(name, &format!("is of type {other:?}, which is not supported"))),
        }
    }

    fn bind(&mut self, name: &str, memory: &Memory) -> Result<(), LibraryError> {
        memory.bind(&mut self.context, name).map_err(call("address of a tensor"))
    }
}

fn wrong(tensor: &str, problem: &str) -> LibraryError {
    LibraryError::Tensor { tensor: tensor.to_owned(), problem: problem.to_owned() }
}

fn call(doing: &'static str) -> impl Fn(trtx::Error) -> LibraryError {
    move |error| failed(format!("{doing}: {error}"))
}

fn failed(doing: String) -> LibraryError {
    LibraryError::Failed { doing, said: Vec::new() }
}

fn said(lines: &Receiver<Line>) -> Vec<String> {
    let mut errors = Vec::new();
    lines.try_iter().for_each(|line| remember(&mut errors, line));
    errors
}
