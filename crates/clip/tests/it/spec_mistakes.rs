//! What is said about wrong CLIP specs: the reading, and the rules between keys.

use hearth_clip::spec::{Action, ClipSpec, check};
use hearth_spec::Document;
use insta::assert_snapshot;

const MODELS: &[&str] = &[
    "siglip2-so400m-patch16-256",
    "siglip2-so400m-patch16-384",
    "ViT-L-14-SigLIP-CLIPA-224",
    "ViT-L-14-SigLIP-CLIPA-336",
    "ViT-B-32",
    "c-radio_v3-h",
];

/// A spec that every action takes without a word.
const GOOD: &str = "\
model_name: clip
results_dir: /r
model:
  type: ViT-L-14-SigLIP-CLIPA-224
dataset:
  train:
    datasets:
    - image_dir: /train
  val:
    datasets:
    - image_dir: /val
evaluate:
  checkpoint: /r/train/clip_latest.safetensors
inference:
  checkpoint: /r/train/clip_latest.safetensors
  text_file: /prompts.txt
";

/// Everything that is said about a spec before an action, warnings included.
fn said(yaml: &str, action: Action, overrides: &[&str]) -> String {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    let outcome = Document::parse("clip.yaml", yaml, &overrides, &|_| None).and_then(|document| {
        let spec: ClipSpec = document.read()?;
        check(&document, &spec, action, MODELS)
    });
    match outcome {
        Ok(warnings) => warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"),
        Err(errors) => errors.to_string(),
    }
}

/// What the good spec gets with some overrides.
pub(crate) fn train(overrides: &[&str]) -> String {
    said(GOOD, Action::Train, overrides)
}

pub(crate) fn evaluate(overrides: &[&str]) -> String {
    said(GOOD, Action::Evaluate, overrides)
}

pub(crate) fn inference(overrides: &[&str]) -> String {
    said(GOOD, Action::Inference, overrides)
}

#[test]
fn a_good_spec_is_taken_in_silence() {
    assert_eq!(train(&[]), "");
    assert_eq!(evaluate(&[]), "");
    assert_eq!(inference(&[]), "");
}

#[test]
fn an_empty_spec() {
    assert_snapshot!(said("", Action::Train, &[]), @"
    error: clip.yaml: `results_dir`: you need to set at least one of following fields: `results_dir`, `train.results_dir`
      = hint: add `results_dir=FOLDER` to the command

    warning: clip.yaml: `model.type`: not set, TAO's default `siglip2-so400m-patch16-256` is used
      = hint: TAO's packaged template means `ViT-L-14-SigLIP-CLIPA-224`

    warning: clip.yaml: `model.canonicalize_text`: `false` with `siglip2-so400m-patch16-256`, which learned from canonicalised text
      = hint: set it to true for zero-shot classification; false keeps punctuation for retrieval

    error: clip.yaml: `dataset.train.datasets`: no training data configured
      = hint: add `'dataset.train.datasets=[{image_dir: IMAGES, caption_dir: CAPTIONS}]'`, or the same in the file

    warning: clip.yaml: `dataset.val.datasets`: validation not configured, there is no retrieval evaluation during training
      = hint: add `'dataset.val.datasets=[{image_dir: IMAGES, caption_dir: CAPTIONS}]'`, or the same in the file
    ");
    assert_snapshot!(said("", Action::Evaluate, &[]), @"
    error: clip.yaml: `results_dir`: you need to set at least one of following fields: `results_dir`, `evaluate.results_dir`
      = hint: add `results_dir=FOLDER` to the command

    warning: clip.yaml: `model.type`: not set, TAO's default `siglip2-so400m-patch16-256` is used
      = hint: TAO's packaged template means `ViT-L-14-SigLIP-CLIPA-224`

    error: clip.yaml: `dataset.val.datasets`: no evaluation data configured
      = hint: add `'dataset.val.datasets=[{image_dir: IMAGES, caption_dir: CAPTIONS}]'`, or the same in the file
      = hint: to classify pictures without captions, set `hearth.evaluate.zero_shot.image_dir=CLASS_FOLDERS`

    warning: clip.yaml: `evaluate.checkpoint`: not set: random weights are evaluated
      = hint: name a checkpoint, or pretrained weights with `train.pretrained_model_path`
    ");
    assert_snapshot!(said("", Action::Inference, &[]), @"
    error: clip.yaml: `results_dir`: you need to set at least one of following fields: `results_dir`, `inference.results_dir`
      = hint: add `results_dir=FOLDER` to the command

    warning: clip.yaml: `model.type`: not set, TAO's default `siglip2-so400m-patch16-256` is used
      = hint: TAO's packaged template means `ViT-L-14-SigLIP-CLIPA-224`

    error: clip.yaml: `inference.datasets`: at least one of `inference.datasets` or `inference.text_file` must be specified
      = hint: add `'inference.datasets=[{image_dir: IMAGES}]'`, or the same in the file

    error: clip.yaml: `inference.checkpoint`: found no value, needed a checkpoint to embed with
      = hint: name a checkpoint, or pretrained weights of `siglip2-so400m-patch16-256` with `train.pretrained_model_path`
    ");
}

// Keys at the wrong level: the typical "Error merging spec.yaml with schema" of TAO.

#[test]
fn keys_of_train_at_the_root() {
    let yaml = "num_epochs: 5\nnum_gpus: 1\nbatch_size: 8\noptim:\n  vision_lr: 1e-4\n";
    assert_snapshot!(said(yaml, Action::Train, &[]), @"
    error: clip.yaml:1:1: `num_epochs`: unknown key
      |
    1 | num_epochs: 5
      | ^^^^^^^^^^
      = hint: it belongs elsewhere: `train.num_epochs`

    error: clip.yaml:2:1: `num_gpus`: unknown key
      |
    2 | num_gpus: 1
      | ^^^^^^^^
      = hint: it belongs elsewhere: `train.num_gpus`, `evaluate.num_gpus` or `inference.num_gpus`

    error: clip.yaml:3:1: `batch_size`: unknown key
      |
    3 | batch_size: 8
      | ^^^^^^^^^^
      = hint: it belongs elsewhere: `dataset.train.batch_size`, `dataset.val.batch_size` or `evaluate.batch_size`

    error: clip.yaml:4:1: `optim`: unknown key
      |
    4 | optim:
      | ^^^^^
      = hint: it belongs elsewhere: `train.optim`
    ");
}

#[test]
fn dataset_type_one_level_too_high() {
    let yaml = "dataset:\n  type: custom\n  batch_size: 8\n  train:\n    image_dir: /a\n";
    assert_snapshot!(said(yaml, Action::Train, &[]), @"
    error: clip.yaml:2:3: `dataset.type`: unknown key
      |
    2 |   type: custom
      |   ^^^^
      = hint: it belongs elsewhere: `dataset.train.type`

    error: clip.yaml:3:3: `dataset.batch_size`: unknown key
      |
    3 |   batch_size: 8
      |   ^^^^^^^^^^
      = hint: it belongs elsewhere: `dataset.train.batch_size` or `dataset.val.batch_size`

    error: clip.yaml:5:5: `dataset.train.image_dir`: unknown key
      |
    5 |     image_dir: /a
      |     ^^^^^^^^^
      = hint: it belongs elsewhere: `dataset.train.datasets[].image_dir`
    ");
}

#[test]
fn export_sizes_in_the_model() {
    let yaml = "model:\n  input_height: 224\n  input_width: 224\nexport:\n  image_size: 224\n";
    assert_snapshot!(said(yaml, Action::Train, &[]), @"
    error: clip.yaml:2:3: `model.input_height`: unknown key
      |
    2 |   input_height: 224
      |   ^^^^^^^^^^^^
      = hint: it belongs elsewhere: `export.input_height`

    error: clip.yaml:3:3: `model.input_width`: unknown key
      |
    3 |   input_width: 224
      |   ^^^^^^^^^^^
      = hint: it belongs elsewhere: `export.input_width`

    error: clip.yaml:5:3: `export.image_size`: unknown key
      |
    5 |   image_size: 224
      |   ^^^^^^^^^^
      = hint: it belongs elsewhere: `model.image_size`
    ");
}

#[test]
fn short_names_of_the_sdk() {
    let overrides =
        ["model_type=ViT-B-32", "vision_lr=1e-4", "text_lr=1e-4", "lr=1e-4", "pretrained=x.pth"];
    assert_snapshot!(train(&overrides), @"
    error: override `model_type=ViT-B-32`: unknown key
      = hint: did you mean `model.type`?

    error: override `vision_lr=1e-4`: unknown key
      = hint: it belongs elsewhere: `train.optim.vision_lr`

    error: override `text_lr=1e-4`: unknown key
      = hint: it belongs elsewhere: `train.optim.text_lr`

    error: override `lr=1e-4`: unknown key
      = hint: did you mean `train.optim.vision_lr` or `train.optim.text_lr`?

    error: override `pretrained=x.pth`: unknown key
      = hint: did you mean `train.pretrained_model_path`?
    ");
}

#[test]
fn keys_of_another_network() {
    let yaml = "\
train:
  accum_grad_batches: 2
  clip_grad_norm: 1.0
  optim:
    lr: 1e-4
    type: AdamW
    lr_scheduler: cosine
    warmup_epochs: 1
";
    assert_snapshot!(said(yaml, Action::Train, &[]), @"
    error: clip.yaml:2:3: `train.accum_grad_batches`: unknown key
      |
    2 |   accum_grad_batches: 2
      |   ^^^^^^^^^^^^^^^^^^
      = hint: did you mean `hearth.train.micro_batches`?

    error: clip.yaml:3:3: `train.clip_grad_norm`: unknown key
      |
    3 |   clip_grad_norm: 1.0
      |   ^^^^^^^^^^^^^^
      = hint: did you mean `train.grad_clip_norm`?

    error: clip.yaml:5:5: `train.optim.lr`: unknown key
      |
    5 |     lr: 1e-4
      |     ^^
      = hint: did you mean `train.optim.vision_lr` or `train.optim.text_lr`?

    error: clip.yaml:6:5: `train.optim.type`: unknown key
      |
    6 |     type: AdamW
      |     ^^^^
      = hint: did you mean `train.optim.optimizer_type`?

    error: clip.yaml:7:5: `train.optim.lr_scheduler`: unknown key
      |
    7 |     lr_scheduler: cosine
      |     ^^^^^^^^^^^^
      = hint: did you mean `train.optim.scheduler`?

    error: clip.yaml:8:5: `train.optim.warmup_epochs`: unknown key
      |
    8 |     warmup_epochs: 1
      |     ^^^^^^^^^^^^^
      = hint: did you mean `train.optim.warmup_steps`?
    ");
}

#[test]
fn misspelled_keys_and_options() {
    let yaml = "\
train:
  precison: fp32
  loss_type: sigclip
  optim:
    vison_lr: 1e-4
    scheduler: cosin
dataset:
  train:
    datasets:
    - image_dir: /a
      captions_dir: /b
";
    assert_snapshot!(said(yaml, Action::Train, &[]), @"
    error: clip.yaml:2:3: `train.precison`: unknown key
      |
    2 |   precison: fp32
      |   ^^^^^^^^
      = hint: did you mean `train.precision`?

    error: clip.yaml:3:14: `train.loss_type`: found `sigclip`, needed `siglip` or `clip`
      |
    3 |   loss_type: sigclip
      |              ^^^^^^^
      = hint: did you mean `siglip`?

    error: clip.yaml:5:5: `train.optim.vison_lr`: unknown key
      |
    5 |     vison_lr: 1e-4
      |     ^^^^^^^^
      = hint: did you mean `train.optim.vision_lr`?

    error: clip.yaml:6:16: `train.optim.scheduler`: found `cosin`, needed `cosine`, `constant` or `linear`
      |
    6 |     scheduler: cosin
      |                ^^^^^
      = hint: did you mean `cosine`?

    error: clip.yaml:11:7: `dataset.train.datasets[0].captions_dir`: unknown key
       |
    11 |       captions_dir: /b
       |       ^^^^^^^^^^^^
       = hint: did you mean `dataset.train.datasets[0].caption_dir`?
    ");
}

#[test]
fn sgd_is_no_optimizer() {
    assert_snapshot!(train(&["train.optim.optimizer_type=sgd"]), @"error: override `train.optim.optimizer_type=sgd`: found `sgd`, needed `adamw` or `lamb`");
}

#[test]
fn unknown_training_data_and_precision() {
    assert_snapshot!(train(&["dataset.train.type=webdataset", "train.precision=fp64", "train.distributed_strategy=deepspeed"]), @"
    error: override `dataset.train.type=webdataset`: found `webdataset`, needed `wds` or `custom`

    error: override `train.precision=fp64`: found `fp64`, needed `fp16`, `fp32` or `bf16`

    error: override `train.distributed_strategy=deepspeed`: found `deepspeed`, needed `ddp` or `fsdp`
    ");
}

// Models.

#[test]
fn a_generic_open_clip_name() {
    assert_snapshot!(train(&["model.type=ViT-B-33"]), @"
    error: override `model.type=ViT-B-33`: found `ViT-B-33`, needed a known type
      = hint: did you mean `ViT-B-32`?
      = hint: the types are siglip2-so400m-patch16-256, siglip2-so400m-patch16-384, ViT-L-14-SigLIP-CLIPA-224, ViT-L-14-SigLIP-CLIPA-336, ViT-B-32, c-radio_v3-h
    ");
    assert_snapshot!(train(&["model.type=convnext_xxlarge"]), @"
    error: override `model.type=convnext_xxlarge`: found `convnext_xxlarge`, needed a known type
      = hint: the types are siglip2-so400m-patch16-256, siglip2-so400m-patch16-384, ViT-L-14-SigLIP-CLIPA-224, ViT-L-14-SigLIP-CLIPA-336, ViT-B-32, c-radio_v3-h
    ");
    assert_snapshot!(train(&["model.type=siglip2-so400m-patch16-265"]), @"
    error: override `model.type=siglip2-so400m-patch16-265`: found `siglip2-so400m-patch16-265`, needed a known type
      = hint: did you mean `siglip2-so400m-patch16-256`?
      = hint: the types are siglip2-so400m-patch16-256, siglip2-so400m-patch16-384, ViT-L-14-SigLIP-CLIPA-224, ViT-L-14-SigLIP-CLIPA-336, ViT-B-32, c-radio_v3-h
    ");
}

#[test]
fn c_radio_needs_an_adaptor() {
    assert_snapshot!(train(&["model.type=c-radio_v3-h"]), @"
    error: clip.yaml:3:1: `model.adaptor_name`: found no value, needed `siglip` or `clip` with C-RADIO
      |
    3 | model:
      | ^^^^^
    ");
    assert_snapshot!(train(&["model.type=c-radio_v3-h", "model.adaptor_name=dino"]), @"
    error: override `model.adaptor_name=dino`: found `dino`, needed `siglip` or `clip` with C-RADIO
    ");
}

#[test]
fn keys_of_other_types() {
    assert_snapshot!(train(&["hearth.model.max_num_patches=576"]), @"
    warning: override `hearth.model.max_num_patches=576`: not used: it belongs to types that end in `naflex`, not to `ViT-L-14-SigLIP-CLIPA-224`
    ");
}

#[test]
fn an_adaptor_of_another_model_is_ignored() {
    assert_eq!(train(&["model.adaptor_name=siglip"]), "");
}

#[test]
fn a_model_that_is_not_named() {
    assert_snapshot!(train(&["~model.type"]), @"
    warning: clip.yaml:3:1: `model.type`: not set, TAO's default `siglip2-so400m-patch16-256` is used
      |
    3 | model:
      | ^^^^^
      = hint: TAO's packaged template means `ViT-L-14-SigLIP-CLIPA-224`

    warning: clip.yaml:3:1: `model.canonicalize_text`: `false` with `siglip2-so400m-patch16-256`, which learned from canonicalised text
      |
    3 | model:
      | ^^^^^
      = hint: set it to true for zero-shot classification; false keeps punctuation for retrieval
    ");
    assert_eq!(evaluate(&["~model.type"]), "");
}

#[test]
fn siglip2_without_canonical_text() {
    assert_snapshot!(train(&["model.type=siglip2-so400m-patch16-384"]), @"
    warning: clip.yaml:3:1: `model.canonicalize_text`: `false` with `siglip2-so400m-patch16-384`, which learned from canonicalised text
      |
    3 | model:
      | ^^^^^
      = hint: set it to true for zero-shot classification; false keeps punctuation for retrieval
    ");
    let overrides = ["model.type=siglip2-so400m-patch16-384", "model.canonicalize_text=true"];
    assert_eq!(train(&overrides), "");
}

#[test]
fn both_towers_frozen() {
    assert_snapshot!(train(&["model.freeze_vision_encoder=true", "model.freeze_text_encoder=true"]), @"warning: override `model.freeze_text_encoder=true`: both towers are frozen: only the logit scale and the logit bias are trained");
}

// Data and results.

#[test]
fn no_results_folder() {
    assert_snapshot!(train(&["results_dir="]), @"
    error: override `results_dir=`: you need to set at least one of following fields: `results_dir`, `train.results_dir`
      = hint: add `results_dir=FOLDER` to the command
    ");
    assert_eq!(train(&["results_dir=", "train.results_dir=/x"]), "");
}

#[test]
fn a_path_below_a_root_that_is_not_set() {
    let overrides = [
        "results_dir=",
        "evaluate.results_dir=/x",
        "evaluate.checkpoint=${results_dir}/train/a.safetensors",
    ];
    assert_snapshot!(evaluate(&overrides), @"error: override `evaluate.checkpoint=${results_dir}/train/a.safetensors`: found an empty `${results_dir}` in front of `/train/a.safetensors`, needed a folder there");
}

#[test]
fn no_data_for_training() {
    assert_snapshot!(train(&["dataset.train.datasets=[]"]), @"
    error: override `dataset.train.datasets=[]`: no training data configured
      = hint: add `'dataset.train.datasets=[{image_dir: IMAGES, caption_dir: CAPTIONS}]'`, or the same in the file
    ");
}

#[test]
fn no_data_for_validation() {
    assert_snapshot!(train(&["dataset.val.datasets=[]"]), @"
    warning: override `dataset.val.datasets=[]`: validation not configured, there is no retrieval evaluation during training
      = hint: add `'dataset.val.datasets=[{image_dir: IMAGES, caption_dir: CAPTIONS}]'`, or the same in the file
    ");
}

#[test]
fn no_data_for_evaluation() {
    assert_snapshot!(evaluate(&["dataset.val.datasets=[]"]), @"
    error: override `dataset.val.datasets=[]`: no evaluation data configured
      = hint: add `'dataset.val.datasets=[{image_dir: IMAGES, caption_dir: CAPTIONS}]'`, or the same in the file
      = hint: to classify pictures without captions, set `hearth.evaluate.zero_shot.image_dir=CLASS_FOLDERS`
    ");
}

#[test]
fn data_for_evaluation_in_the_wrong_block() {
    assert_snapshot!(evaluate(&["~dataset.val", "evaluate.datasets=[{image_dir: /val}]"]), @"
    error: clip.yaml:5:1: `dataset.val.datasets`: no evaluation data configured
      |
    5 | dataset:
      | ^^^^^^^
      = hint: evaluation does not read `evaluate.datasets`: move its entries here
    ");
    assert_snapshot!(evaluate(&["evaluate.datasets=[{image_dir: /val}]"]), @"warning: override `evaluate.datasets=[{image_dir: /val}]`: not read: evaluation takes `dataset.val.datasets`");
}

#[test]
fn folders_without_an_image_dir() {
    let yaml = GOOD
        .replace("image_dir: /train", "caption_dir: /train")
        .replace("image_dir: /val", "image_dir: ''");
    assert_snapshot!(said(&yaml, Action::Train, &[]), @"
    error: clip.yaml:8:7: `dataset.train.datasets[0].image_dir`: no value, needed a text
      |
    8 |     - caption_dir: /train
      |       ^^^^^^^^^^^^^^^^^^^

    error: clip.yaml:11:7: `dataset.val.datasets[0].image_dir`: no value, needed a text
       |
    11 |     - image_dir: ''
       |       ^^^^^^^^^
    ");
    assert_eq!(said(&yaml, Action::Inference, &[]), "");
}

#[test]
fn datasets_as_a_mapping() {
    let yaml = "dataset:\n  train:\n    datasets:\n      image_dir: /a\n      caption_dir: /b\n";
    assert_snapshot!(said(yaml, Action::Train, &[]), @"
    error: clip.yaml:3:5: `dataset.train.datasets`: found a mapping, needed a list of mappings
      |
    3 |     datasets:
      |     ^^^^^^^^
      = hint: begin the first line of each entry with `- `
    ");
}

#[test]
fn webdataset_shards() {
    let wds = "dataset.train.type=wds";
    let folder = "dataset.train.wds.root_dir=/shards";
    assert_eq!(train(&[wds, folder, "dataset.train.datasets=[]"]), "");
    assert_snapshot!(train(&[wds, folder]), @"
    warning: clip.yaml:7:5: `dataset.train.datasets`: not read: `dataset.train.type` is `wds`, which takes `dataset.train.wds`
      |
    7 |     datasets:
      |     ^^^^^^^^
    ");
    assert_snapshot!(train(&[wds, "dataset.train.datasets=[]"]), @"
    error: clip.yaml:6:3: `dataset.train.wds`: no training data configured: `root_dir` or `shard_list_file` must be given
      |
    6 |   train:
      |   ^^^^^
      = hint: add `dataset.train.wds.root_dir=FOLDER`, which is searched for `*.tar`
    ");
    assert_snapshot!(train(&[folder, "dataset.train.datasets=[]"]), @"
    error: override `dataset.train.datasets=[]`: no training data configured
      = hint: to train on the shards of `dataset.train.wds`, set `dataset.train.type: wds`
    ");
    let address = "dataset.train.wds.root_dir=s3://bucket/train";
    assert_snapshot!(train(&[wds, address, "dataset.train.datasets=[]"]), @"
    error: override `dataset.train.wds.root_dir=s3://bucket/train`: found an address, needed a folder: an address cannot be searched for shards
      = hint: name the shards in `dataset.train.wds.shard_list_file`; the address may stay
    ");
    assert_eq!(
        train(&[wds, address, "dataset.train.wds.shard_list_file=l", "dataset.train.datasets=[]"]),
        ""
    );
    assert_eq!(train(&[folder]), "");
    assert_snapshot!(train(&["hearth.dataset.train.captions=every"]), @"
    error: override `hearth.dataset.train.captions=every`: found `every`, needed `first`, `all` or `random`
    ");
}

// Inference and evaluation.

#[test]
fn nothing_to_embed() {
    assert_snapshot!(inference(&["inference.text_file="]), @"
    error: clip.yaml:14:1: `inference.datasets`: at least one of `inference.datasets` or `inference.text_file` must be specified
       |
    14 | inference:
       | ^^^^^^^^^
       = hint: add `'inference.datasets=[{image_dir: IMAGES}]'`, or the same in the file
    ");
}

#[test]
fn inference_without_a_checkpoint() {
    assert_snapshot!(inference(&["inference.checkpoint=null"]), @"
    error: override `inference.checkpoint=null`: found no value, needed a checkpoint to embed with
      = hint: name a checkpoint, or pretrained weights of `ViT-L-14-SigLIP-CLIPA-224` with `train.pretrained_model_path`
    ");
    assert_eq!(inference(&["inference.checkpoint=null", "train.pretrained_model_path=/w"]), "");
}

#[test]
fn evaluation_without_a_checkpoint() {
    assert_snapshot!(evaluate(&["evaluate.checkpoint=null"]), @"
    warning: override `evaluate.checkpoint=null`: not set: random weights are evaluated
      = hint: name a checkpoint, or pretrained weights with `train.pretrained_model_path`
    ");
}

#[test]
fn an_engine_instead_of_weights() {
    assert_snapshot!(evaluate(&["evaluate.checkpoint=/r/clip.engine"]), @"
    error: override `evaluate.checkpoint=/r/clip.engine`: found `/r/clip.engine`, needed weights: a checkpoint, a Hugging Face folder or a hub name
      = hint: engines belong to `evaluate.trt_engine`
    ");
    assert_eq!(
        inference(&["inference.trt_engine=/r/clip.engine", "inference.checkpoint=null"]),
        ""
    );
    assert_eq!(evaluate(&["evaluate.trt_engine=/r/clip", "evaluate.checkpoint=null"]), "");
    assert_eq!(train(&["inference.trt_engine=/r/clip.engine"]), "");
}

#[test]
fn an_engine_beside_weights_and_a_graph_for_one() {
    assert_snapshot!(inference(&["inference.trt_engine=/r/clip.onnx"]), @"
    error: override `inference.trt_engine=/r/clip.onnx`: found `/r/clip.onnx`, needed an engine
      = hint: `inference.checkpoint` takes ONNX, `gen_trt_engine` makes engines of it

    error: override `inference.trt_engine=/r/clip.onnx`: found `/r/clip.onnx`, needed either this or `inference.checkpoint`
      = hint: leave out the one that you do not mean
    ");
    let several = [
        "evaluate.trt_engine=/r/clip.engine",
        "evaluate.checkpoint=null",
        "evaluate.num_gpus=2",
        "evaluate.gpu_ids=[3,4]",
    ];
    assert_snapshot!(evaluate(&several), @"warning: override `evaluate.trt_engine=/r/clip.engine`: engines run on one GPU: that of number 3");
}

// Training.

#[test]
fn intervals_longer_than_the_training() {
    assert_snapshot!(train(&["train.num_epochs=5", "train.checkpoint_interval=20", "train.validation_interval=6"]), @"
    error: override `train.checkpoint_interval=20`: found 20, needed at most `train.num_epochs`, which is 5
      = hint: lower it, or count with `train.checkpoint_interval_unit: step`

    error: override `train.validation_interval=6`: found 6, needed at most `train.num_epochs`, which is 5
    ");
    assert_eq!(
        train(&["train.checkpoint_interval=200", "train.checkpoint_interval_unit=step"]),
        ""
    );
}

#[test]
fn two_intervals_of_validation() {
    assert_snapshot!(train(&["train.val_check_interval=50", "train.validation_interval=2"]), @"
    warning: override `train.validation_interval=2`: not used: `train.val_check_interval` takes precedence and validates every 50 steps
      = hint: leave one of the two out
    ");
    assert_eq!(train(&["train.val_check_interval=50"]), "");
}

#[test]
fn gpu_ids_that_do_not_match_their_number() {
    assert_snapshot!(train(&["train.num_gpus=3"]), @"warning: override `train.num_gpus=3`: `train.gpu_ids`: length 1, but `train.num_gpus` is 3: the devices [0, 1, 2] are used");
    assert_snapshot!(train(&["train.gpu_ids=[1,1]", "train.num_gpus=2"]), @"error: override `train.gpu_ids=[1,1]`: found GPU 1 twice, needed each once");
    assert_eq!(train(&["train.gpu_ids=[1,3]", "train.num_gpus=2"]), "");
}

#[test]
fn sharded_training_and_local_losses_on_several_devices() {
    let keys = ["train.distributed_strategy=fsdp", "train.siglip_loss_dist_impl=local"];
    assert_eq!(train(&keys), "");
    assert_snapshot!(train(&[keys[0], keys[1], "train.num_nodes=2"]), @"
    error: override `train.distributed_strategy=fsdp`: found `fsdp` with 2 devices, needed `ddp`: sharded training is not in this release
      = hint: set it to ddp

    error: override `train.siglip_loss_dist_impl=local`: found `local` with 2 devices, needed one of the ways that compute the loss of the whole batch
      = hint: set it to gather
    ");
    for exchange in ["gather", "bidir", "shift", "reduce"] {
        let exchange = format!("train.siglip_loss_dist_impl={exchange}");
        assert_eq!(train(&[&exchange, "train.num_nodes=2"]), "");
    }
}

#[test]
fn more_micro_batches_than_pairs() {
    assert_snapshot!(train(&["hearth.train.micro_batches=17"]), @"error: override `hearth.train.micro_batches=17`: found 17, needed at most `dataset.train.batch_size`, which is 16");
}

#[test]
fn augmentation_out_of_bounds() {
    let overrides = [
        "dataset.augmentation.scale=[0.9, 0.5]",
        "dataset.augmentation.color_jitter=[1.5, 0.3, 0.3, 0.3, 0.8]",
    ];
    assert_snapshot!(train(&overrides), @"
    error: override `dataset.augmentation.scale=[0.9, 0.5]`: found [0.9, 0.5], needed the smaller number first

    error: override `dataset.augmentation.color_jitter=[1.5, 0.3, 0.3, 0.3, 0.8]`: `dataset.augmentation.color_jitter[0]`: found 1.5, needed a probability from 0 to 1

    error: override `dataset.augmentation.color_jitter=[1.5, 0.3, 0.3, 0.3, 0.8]`: `dataset.augmentation.color_jitter[4]`: found 0.8, needed a change of hue from 0 to 0.5
    ");
    let overrides = [
        "dataset.augmentation.scale=[0, 1]",
        "dataset.augmentation.color_jitter=[0.3, 0.3, 0.3]",
        "dataset.augmentation.grayscale=2",
        "train.optim.betas=[0.9, 1.0]",
    ];
    assert_snapshot!(train(&overrides), @"
    error: override `dataset.augmentation.scale=[0, 1]`: `dataset.augmentation.scale[0]`: found `0`, needed a number above 0 and at most 1

    error: override `dataset.augmentation.color_jitter=[0.3, 0.3, 0.3]`: found a list of 3, needed a list of 0, 4 or 5 numbers

    error: override `dataset.augmentation.grayscale=2`: found `2`, needed a number from 0 to 1

    error: override `train.optim.betas=[0.9, 1.0]`: `train.optim.betas[1]`: found `1.0`, needed a number of at least 0 and below 1
    ");
    assert_eq!(train(&["dataset.augmentation.color_jitter=[]"]), "");
    assert_eq!(train(&["dataset.augmentation.color_jitter=[0.4, 0.4, 0.4, 0.1]"]), "");
}

// Keys that are refused, inert or accepted with a notice.

#[test]
fn keys_that_would_change_results_are_refused_by_name() {
    let overrides = [
        "train.siglip_loss_mask_mode=attribute_match_ignore",
        "dataset.train.balance_query_types=true",
        "dataset.train.include_attribute_metadata=true",
        "dataset.val.metadata_match_eval=true",
        "dataset.train.datasets[0].train_pairs_file=/p.json",
        "dataset.val.datasets[0].attribute_pairs_file=/p.json",
    ];
    assert_snapshot!(train(&overrides), @"
    error: override `train.siglip_loss_mask_mode=attribute_match_ignore`: found `attribute_match_ignore`, needed `none`: masks by person attributes need tables whose format TAO does not document
      = hint: set it to none

    error: override `dataset.train.balance_query_types=true`: found `true`, needed `false`: matching by person attributes needs tables whose format TAO does not document
      = hint: set it to false

    error: override `dataset.train.include_attribute_metadata=true`: found `true`, needed `false`: matching by person attributes needs tables whose format TAO does not document
      = hint: set it to false

    error: override `dataset.val.metadata_match_eval=true`: found `true`, needed `false`: matching by person attributes needs tables whose format TAO does not document
      = hint: set it to false

    error: override `dataset.train.datasets[0].train_pairs_file=/p.json`: found `/p.json`, needed no value: matching by person attributes needs tables whose format TAO does not document
      = hint: leave the key out

    error: override `dataset.val.datasets[0].attribute_pairs_file=/p.json`: found `/p.json`, needed no value: matching by person attributes needs tables whose format TAO does not document
      = hint: leave the key out
    ");
    assert_snapshot!(evaluate(&["evaluate.pas_ground_truth_mode=scalar_attributes"]), @"
    error: override `evaluate.pas_ground_truth_mode=scalar_attributes`: found `scalar_attributes`, needed `paired_caption`: matching by person attributes needs tables whose format TAO does not document
      = hint: set it to paired_caption
    ");
}

#[test]
fn keys_behind_a_switch_that_is_off_are_taken_in_silence() {
    let overrides = [
        "peft.vision.mode=lora",
        "regularization.cosine_weight=1",
        "train.triplet_margin=0.5",
        "train.compatible_positive_weight=2",
        "dataset.train.unique_caption_per_batch=false",
        "dataset.pin_memory=false",
        "train.cudnn.benchmark=true",
        "dataset.val.metadata_match_mode=scalar_plus_accessories",
    ];
    assert_eq!(train(&overrides), "");
}

#[test]
fn wandb_is_accepted_with_one_notice() {
    assert_snapshot!(train(&["wandb.project=x", "wandb.tags=[a]"]), @"warning: override `wandb.project=x`: `wandb`: nothing is uploaded: TensorBoard events and status.json hold the numbers");
    assert_eq!(train(&["wandb.enable=false", "wandb.project=x"]), "");
    assert_eq!(inference(&["wandb.project=x"]), "");
}

#[test]
fn checkpoints_are_not_encrypted() {
    assert_snapshot!(train(&["encryption_key=secret"]), @"warning: override `encryption_key=secret`: checkpoints are written without encryption, as TAO's CLIP does too");
    assert_eq!(train(&["encryption_key=''"]), "");
}

/// What NVIDIA's template says when it is taken as it is: only what its user has to add.
#[test]
fn the_template_of_tao_as_it_is() {
    let folder = std::env::var("HEARTH_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into());
    let path = format!("{folder}/tao/clip/spec_template.yaml");
    let Ok(yaml) = std::fs::read_to_string(&path) else {
        println!("skipped: {path} is not at hand");
        return;
    };
    assert_snapshot!(said(&yaml, Action::Train, &[]), @"
    error: clip.yaml:3:1: `results_dir`: you need to set at least one of following fields: `results_dir`, `train.results_dir`
      |
    3 | results_dir: ''
      | ^^^^^^^^^^^
      = hint: add `results_dir=FOLDER` to the command

    warning: clip.yaml:4:1: `wandb`: nothing is uploaded: TensorBoard events and status.json hold the numbers
      |
    4 | wandb:
      | ^^^^^

    error: clip.yaml:26:5: `dataset.train.datasets`: no training data configured
       |
    26 |     datasets: []
       |     ^^^^^^^^
       = hint: add `'dataset.train.datasets=[{image_dir: IMAGES, caption_dir: CAPTIONS}]'`, or the same in the file

    warning: clip.yaml:35:5: `dataset.val.datasets`: validation not configured, there is no retrieval evaluation during training
       |
    35 |     datasets: []
       |     ^^^^^^^^
       = hint: add `'dataset.val.datasets=[{image_dir: IMAGES, caption_dir: CAPTIONS}]'`, or the same in the file
    ");
}

#[test]
fn zero_shot_alone_is_an_evaluation() {
    let alone = ["dataset.val.datasets=[]", "hearth.evaluate.zero_shot.image_dir=/classes"];
    assert_eq!(evaluate(&alone), "");
    for templates in ["[openai]", "['{}', 'a {} and a {}']"] {
        let templates = format!("hearth.evaluate.zero_shot.templates={templates}");
        assert_eq!(evaluate(&[alone[0], alone[1], &templates]), "");
    }
    // What belongs to `evaluate` is nothing to the other actions.
    assert_eq!(train(&["hearth.evaluate.zero_shot.templates=[x]"]), "");
}

#[test]
fn zero_shot_mistakes() {
    assert_snapshot!(evaluate(&["hearth.evaluate.zero_shot.batch_size=4"]), @"warning: override `hearth.evaluate.zero_shot.batch_size=4`: `hearth.evaluate.zero_shot`: not used: `image_dir` is not set");
    assert_snapshot!(evaluate(&["hearth.evaluate.zero_shot.image_list_file=/list.tsv"]), @"error: override `hearth.evaluate.zero_shot.image_list_file=/list.tsv`: `hearth.evaluate.zero_shot.image_dir`: not set, needed as the folder that the pictures of `image_list_file` lie in");
    let image_dir = "hearth.evaluate.zero_shot.image_dir=/c";
    let with = |templates: &str| {
        evaluate(&[image_dir, &format!("hearth.evaluate.zero_shot.templates={templates}")])
    };
    assert_snapshot!(with("['a {} photo', 'a photo', openia, 'a {name}', simple]"), @"
    error: override `hearth.evaluate.zero_shot.templates=['a {} photo', 'a photo'…`: `hearth.evaluate.zero_shot.templates[1]`: found `a photo`, needed `{}` in the place of the class's name

    error: override `hearth.evaluate.zero_shot.templates=['a {} photo', 'a photo'…`: `hearth.evaluate.zero_shot.templates[2]`: found `openia`, needed `{}` in the place of the class's name
      = hint: did you mean `openai`?

    error: override `hearth.evaluate.zero_shot.templates=['a {} photo', 'a photo'…`: `hearth.evaluate.zero_shot.templates[3]`: found `a {name}`, needed no braces but `{}`, which stands for the class's name

    error: override `hearth.evaluate.zero_shot.templates=['a {} photo', 'a photo'…`: `hearth.evaluate.zero_shot.templates[4]`: found `simple`, needed no entry beside this word, which stands for a list of its own
    ");
    assert_snapshot!(with("[]"), @"error: override `hearth.evaluate.zero_shot.templates=[]`: found an empty list, needed one template or more, or a word such as `simple`");
    assert_snapshot!(with("openai"), @"
    error: override `hearth.evaluate.zero_shot.templates=openai`: found `openai`, needed a list of texts
      = hint: write `[openai]`
    ");
}
