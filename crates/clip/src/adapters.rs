//! Adapters in files: what resuming needs of them, and a folder that `peft` reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use hearth_backbones::lora::LoraConfig;
use hearth_engine::{EngineError, FileError, adapters_folder, atomic_file, state_folder};
use hearth_weights::{Parameter, WeightsFile, map_values, parameters, save_tensors, visit_values};
use serde_json::{Map, Value, json};

use crate::{
    model::Clip,
    peft::{Adaptation, Peft},
    vision::VisionTower,
};

/// Adapters and the frozen matrices beside them. The model file holds their sum, from which neither
/// comes back exactly.
const STATE_FILE: &str = "adapters.safetensors";

/// One parameter: name, shape in PyTorch's layout, values.
type Values = (String, Vec<usize>, Vec<f32>);

/// Writes what resuming needs beside the model file into the state folder of `model_file`.
pub(crate) fn save_state(model: &Clip, model_file: &Path) -> Result<(), EngineError> {
    let kept = kept(model);
    let tensors = values(model, |name| kept.contains(name));
    save_tensors(&state_folder(model_file).join(STATE_FILE), &BTreeMap::new(), tensors)?;
    Ok(())
}

/// Puts adapters and frozen matrices back as they were when `model_file` was written.
pub(crate) fn restore(model: Clip, model_file: &Path) -> Result<Clip, EngineError> {
    let path = state_folder(model_file).join(STATE_FILE);
    let file = WeightsFile::open(&path)?;
    let kept = kept(&model);
    let damaged = |reason: String| EngineError::State { path: path.clone(), reason };
    let mut found = BTreeMap::new();
    for Parameter { name, shape, .. } in parameters(&model) {
        if !kept.contains(&name) {
            continue;
        }
        match file.entry(&name) {
            Some(entry) if entry.shape == shape => {
                found.insert(name.clone(), file.read_f32(&name)?)
            }
            Some(entry) => {
                let found = &entry.shape;
                return Err(damaged(format!("`{name}` has shape {found:?}, needed {shape:?}")));
            }
            None => return Err(damaged(format!("`{name}` is missing"))),
        };
    }
    Ok(map_values(model, |parameter| found.remove(&parameter.name)))
}

/// Writes the adapters of `model` to a folder beside `model_file` as `peft` names them in a model of
/// transformers: `PeftModel.from_pretrained(model, FOLDER)` reads it.
pub(crate) fn export(peft: &Peft, model: &Clip, model_file: &Path) -> Result<(), EngineError> {
    let folder = adapters_folder(model_file);
    fs::create_dir_all(&folder).map_err(FileError::at("create this folder", &folder))?;
    let mut tensors = Vec::new();
    for (name, shape, values) in values(model, |name| name.contains(LORA)) {
        tensors.extend(published(&name, &shape, values));
    }
    let config = configuration(peft, tensors.iter().map(|(name, ..)| name.as_str()));
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    save_tensors(&folder.join("adapter_model.safetensors"), &metadata, tensors)?;
    let text = serde_json::to_vec_pretty(&config).expect("numbers and texts");
    atomic_file::write(&folder.join("adapter_config.json"), &text)?;
    Ok(())
}

/// Between the path of a module and the name of its adapter.
const LORA: &str = ".lora.";
/// What peft puts in front of every name.
const PREFIX: &str = "base_model.model.";

/// Names of adapters and of the frozen matrices beside them.
fn kept(model: &Clip) -> BTreeSet<String> {
    let names = parameters(model).into_iter().map(|parameter| parameter.name);
    let adapters: Vec<String> = names.filter(|name| name.contains(LORA)).collect();
    let beside = adapters.iter().filter_map(|name| {
        let (module, adapter) = name.split_once(LORA)?;
        let layer = match adapter.split('.').next()? {
            "q" | "k" | "v" => "qkv",
            layer => layer,
        };
        Some(format!("{module}.{layer}.weight"))
    });
    beside.collect::<Vec<_>>().into_iter().chain(adapters).collect()
}

/// The wanted parameters of the blocks.
fn values(model: &Clip, wanted: impl Fn(&str) -> bool) -> Vec<Values> {
    let mut tensors = Vec::new();
    let mut collect = |tower: &str, blocks: &Vec<hearth_backbones::layers::Block>| {
        visit_values(blocks, |parameter, values| {
            let name = format!("{tower}.blocks.{}", parameter.name);
            if wanted(&name) {
                tensors.push((name, parameter.shape.clone(), values));
            }
        });
    };
    let vision = match &model.visual {
        VisionTower::Radio(_) => "visual.trunk",
        VisionTower::Vit(_) | VisionTower::Naflex(_) => "visual",
    };
    collect(vision, model.visual.blocks());
    collect("text", &model.text.blocks);
    tensors
}

/// One matrix of an adapter under the names of peft; that of a whole `qkv` belongs to three layers.
fn published(name: &str, shape: &[usize], values: Vec<f32>) -> Vec<Values> {
    let parts: Vec<&str> = name.split('.').collect();
    let [tower, "blocks", block, _, "lora", layer, side, "weight"] = parts[..] else {
        unreachable!("`{name}` is an adapter's");
    };
    let tower = if tower == "visual" { "vision_model" } else { "text_model" };
    let matrix = if side == "down" { "lora_A" } else { "lora_B" };
    let full =
        |layer: &str| format!("{PREFIX}{tower}.encoder.layers.{block}.{layer}.{matrix}.weight");
    let layers = match layer {
        "q" => &["self_attn.q_proj"][..],
        "k" => &["self_attn.k_proj"],
        "v" => &["self_attn.v_proj"],
        "qkv" => &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        "proj" => &["self_attn.out_proj"],
        "fc1" => &["mlp.fc1"],
        _ => &["mlp.fc2"],
    };
    if side == "down" {
        return layers.iter().map(|layer| (full(layer), shape.to_vec(), values.clone())).collect();
    }
    let rows = shape[0] / layers.len();
    let parts = values.chunks(rows * shape[1]);
    layers
        .iter()
        .zip(parts)
        .map(|(layer, part)| (full(layer), vec![rows, shape[1]], part.to_vec()))
        .collect()
}

/// `adapter_config.json`: the first tower's numbers, and those of the other by module where they
/// differ.
fn configuration<'a>(peft: &Peft, names: impl Iterator<Item = &'a str>) -> Value {
    let modules: BTreeSet<&str> = names
        .filter_map(|name| name.strip_prefix(PREFIX)?.strip_suffix(".lora_A.weight"))
        .collect();
    let first = peft.adapters().next();
    let mut ranks = Map::new();
    let mut alphas = Map::new();
    if let (Some(first), Adaptation::Lora(text)) = (first, &peft.text) {
        for module in modules.iter().filter(|module| module.starts_with("text_model")) {
            if text.rank != first.rank {
                ranks.insert((*module).to_owned(), text.rank.into());
            }
            if text.alpha != first.alpha {
                alphas.insert((*module).to_owned(), text.alpha.into());
            }
        }
    }
    let number = |of: fn(&LoraConfig) -> Value| first.map_or(Value::Null, of);
    json!({
        "peft_type": "LORA",
        "task_type": null,
        "base_model_name_or_path": null,
        "inference_mode": true,
        "r": number(|config| config.rank.into()),
        "lora_alpha": number(|config| config.alpha.into()),
        "lora_dropout": number(|config| config.dropout.into()),
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "target_modules": modules,
        "bias": "none",
        "fan_in_fan_out": false,
    })
}
