//! How much memory a training takes, before it starts.
//!
//! The counts of activations were measured on the CPU backend (growth of VmHWM over one block's
//! forward pass under autodiff, for widths 256 to 768, 4 to 16 heads, 64 to 256 tokens); a test of the
//! binary compares the sum with the measured peak of real runs.

use burn::tensor::Device;
use hearth_backbones::{
    layers::BlockConfig,
    lora::{self, LoraConfig, Target},
};
use hearth_weights::parameters;

use crate::{
    dataset::TrainBatches,
    model::ClipConfig,
    peft::{Adaptation, Peft},
    setup::Setup,
    spec::ClipSpec,
};

/// Bytes of a value.
const FLOAT: f64 = 4.0;
/// The program and its libraries.
const PROGRAM: f64 = 22e6;
/// Copies of a parameter that an optimizer step makes on its way.
const UPDATE_COPIES: f64 = 5.0;

/// What a training is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Work {
    /// Pairs in memory at once.
    micro_batch: usize,
    /// Pairs of a step, whose pixels are loaded together.
    global_batch: usize,
    /// Patches of a picture.
    patches: usize,
    /// Blocks keep their input only.
    recompute: bool,
    /// A copy of what is trained whole, as it was.
    teacher: bool,
    /// Each with gradients of its own.
    replicas: usize,
    /// Bytes of the tokenizer in memory.
    tokenizer: f64,
}

/// Values of the parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Values {
    /// With what is kept for each: one gradient, moments, a teacher's copy.
    held: usize,
    /// Of them trained.
    trained: usize,
    /// The largest parameter that is trained.
    largest: usize,
}

/// Memory of a training in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// Weights; gradients and the two moments of the optimizer for what is trained; a teacher's copy.
    pub(crate) parameters: f64,
    /// What the forward pass of one micro-batch keeps for the backward pass.
    pub(crate) activations: f64,
    /// Everything else: pixels on their way, temporary values, the program.
    pub(crate) rest: f64,
}

impl Estimate {
    /// The peak.
    pub(crate) fn total(&self) -> f64 {
        self.parameters + self.activations + self.rest
    }
}

/// Memory of a vocabulary per byte of its compressed file, measured on Gemma's and BERT's.
const TOKENIZER_GROWTH: f64 = 60.0;

/// The peak of the training that a spec describes.
pub(crate) fn of_training(
    spec: &ClipSpec,
    setup: &Setup,
    peft: &Peft,
    data: &TrainBatches,
) -> Estimate {
    let config = setup.config();
    let work = Work {
        micro_batch: data.micro_batch(),
        global_batch: data.global_batch(),
        patches: setup.recipe.patches(config.vision.patch_size()),
        recompute: spec.train.grad_checkpointing,
        teacher: spec.regularization.enabled,
        replicas: data.replicas(),
        tokenizer: TOKENIZER_GROWTH * setup.tokenizer.to_bytes().len() as f64,
    };
    estimate(&config, peft, &work)
}

/// The peak of training `peft` of `config`.
fn estimate(config: &ClipConfig, peft: &Peft, work: &Work) -> Estimate {
    let Values { held, trained, largest } = parameter_values(config, peft, work.teacher);
    let pairs = work.micro_batch as f64;

    let towers = [
        (
            &peft.vision,
            config.vision.block(),
            config.vision.depth(),
            config.vision.num_tokens(work.patches),
        ),
        (&peft.text, &config.text.block, config.text.depth, config.text.context_length),
    ];
    let activations: f64 = towers
        .iter()
        .map(|(adaptation, block, depth, tokens)| match adaptation {
            Adaptation::Full => tower(block, *depth, *tokens, work.recompute),
            // Nothing is kept; one block works.
            Adaptation::Frozen => tower(block, 1, *tokens, false),
            Adaptation::Lora(lora) => lora_tower(block, lora, *tokens, work.recompute),
        })
        .sum();

    let pixels = 3.0 * (work.patches * config.vision.patch_size().pow(2)) as f64;
    // Two batches on their way, one in use on the host, one on the device and cut into patches.
    let loading = 3.0 * work.global_batch as f64 * pixels + 2.0 * pairs * pixels;

    // Similarities of all pairs with all captions, and what the loss makes of them.
    let logits = 10.0 * (work.global_batch as f64).powi(2);
    // The backward pass frees what it has used, while the gradients of further replicas come; the
    // update follows when everything is free.
    let update = UPDATE_COPIES * largest as f64;
    let gradients = ((work.replicas - 1) * trained) as f64;
    Estimate {
        parameters: FLOAT * held as f64,
        activations: FLOAT * (activations * pairs + logits).max(update).max(gradients),
        rest: FLOAT * loading + work.tokenizer + PROGRAM,
    }
}

fn parameter_values(config: &ClipConfig, peft: &Peft, teacher: bool) -> Values {
    // Takes no memory: nothing of it is drawn.
    let mut model = config.init(&Device::flex());
    for (adaptation, blocks) in
        [(&peft.vision, model.visual.blocks_mut()), (&peft.text, &mut model.text.blocks)]
    {
        if let Adaptation::Lora(config) = adaptation {
            lora::adapt(blocks, config, &Device::flex());
        }
    }
    let mut values = Values::default();
    for parameter in parameters(&model) {
        let tower = if parameter.name.starts_with("visual.") { &peft.vision } else { &peft.text };
        let whole = *tower == Adaptation::Full;
        values.held += parameter.len();
        if whole || parameter.name.contains(".lora.") {
            values.held += 3 * parameter.len();
            values.trained += parameter.len();
            values.largest = values.largest.max(parameter.len());
        }
        if whole && teacher {
            values.held += parameter.len();
        }
    }
    values
}

/// Bytes that the system can give; `None` where it does not tell.
pub(crate) fn available() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// Values that one pair keeps in a tower.
fn tower(block: &BlockConfig, depth: usize, tokens: usize, recompute: bool) -> f64 {
    let width = block.width as f64;
    let blocks = match recompute {
        // The inputs of all blocks, and one block that runs again.
        true => width * depth as f64 + block_floats(block),
        false => block_floats(block) * depth as f64,
    };
    // Embedding, positions and the last norm keep a few more rows.
    (blocks + 6.0 * width) * tokens as f64
}

/// Values that one pair keeps in a tower of which adapters are trained.
fn lora_tower(block: &BlockConfig, lora: &LoraConfig, tokens: usize, recompute: bool) -> f64 {
    let changed = adapter_floats(block, lora);
    // The first block with adapters has nothing to recompute from.
    let whole = if recompute { lora.blocks.min(2) } else { lora.blocks };
    let first = if recompute { block_floats(block) * tokens as f64 } else { 0.0 };
    tower(block, lora.blocks, tokens, recompute) + first + changed * (whole * tokens) as f64
}

/// Values that one token keeps for the adapters of one block beyond what the block keeps: inputs
/// that the block computes again where it stands alone, what is dropped of inputs, and what lies
/// between the two matrices. Frozen matrices keep their inputs for nobody.
fn adapter_floats(block: &BlockConfig, lora: &LoraConfig) -> f64 {
    let (width, mlp_width) = (block.width as f64, block.mlp_width as f64);
    let has = |targets: &[Target]| lora.targets.iter().any(|target| targets.contains(target));
    let once = |targets: &[Target], width: f64| if has(targets) { width } else { 0.0 };
    let attended = [Target::Query, Target::Key, Target::Value, Target::Qkv];
    let inputs =
        once(&attended, width) + once(&[Target::Fc1], width) + once(&[Target::Fc2], mlp_width)
            - (width - once(&[Target::Proj], width));

    let dropped = if lora.dropout > 0.0 { 2.0 } else { 0.0 };
    let rows = |target: &Target| {
        let input = if *target == Target::Fc2 { mlp_width } else { width };
        dropped * input + lora.rank as f64
    };
    inputs + lora.targets.iter().map(rows).sum::<f64>()
}

/// Values that one token keeps in one block: what comes to the two norms, queries, keys and values, what
/// attention and what the MLP have in their middle. All else is computed again.
fn block_floats(block: &BlockConfig) -> f64 {
    6.2 * block.width as f64 + 1.05 * block.mlp_width as f64
}
