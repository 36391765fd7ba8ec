//! What a C-RADIO checkpoint says about itself: its tensors, and the arguments of its training.
//!
//! Two containers are in use: the hub's `.pth.tar` (`base_model.…`, heads under the index or the name
//! of their teacher), and Hugging Face files, TAO's and ours (`radio_model.…`).

use std::path::Path;

use hearth_weights::WeightsFile;
use serde_json::Value;

use super::{Adaptor, HeadNumbers, PATCH, RadioNumbers, TextNumbers, TrunkNumbers, Version};
use crate::error::ClipError;

/// Where a file keeps the parts of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    /// In front of the backbone's names.
    pub(crate) trunk: &'static str,
    /// In front of the names of the teacher's head.
    pub(crate) head: String,
    /// In front of the names of the teacher's text tower.
    pub(crate) text: String,
    /// What the factors of the residual branches are called.
    pub(crate) layer_scale: &'static str,
}

/// A checkpoint with a C-RADIO backbone.
pub(crate) struct RadioFile<'a> {
    file: &'a WeightsFile,
    args: Option<Value>,
    trunk: &'static str,
}

const HUB: &str = "base_model.";
const TRANSFORMERS: &str = "radio_model.model.";

impl Container {
    /// That of TAO's checkpoints and ours.
    pub(crate) fn tao(numbers: &RadioNumbers) -> Self {
        let adaptor = format!("radio_model.adaptors.{}.", numbers.teacher);
        let tower = match numbers.adaptor {
            Adaptor::SigLip => "text_model.",
            Adaptor::Clip => "oc_model.",
        };
        Self {
            trunk: TRANSFORMERS,
            head: format!("{adaptor}head_mlp."),
            text: format!("{adaptor}{tower}"),
            layer_scale: "grandma",
        }
    }
}

impl<'a> RadioFile<'a> {
    /// `None` where `file` has no such backbone.
    pub(crate) fn new(file: &'a WeightsFile) -> Result<Option<Self>, ClipError> {
        let holds = |trunk: &&str| file.entry(&format!("{trunk}{EMBEDDER}")).is_some();
        let Some(trunk) = [HUB, TRANSFORMERS].into_iter().find(holds) else { return Ok(None) };
        let inside = file.extra().and_then(|extra| extra.get("args").cloned());
        let args = match inside {
            Some(args) => Some(args),
            None => file.config("config.json")?.and_then(|config| config.get("args").cloned()),
        };
        Ok(Some(Self { file, args, trunk }))
    }

    /// The numbers of the model; what the file leaves open is that of `usual`.
    pub(crate) fn numbers(&self, usual: &RadioNumbers) -> Result<RadioNumbers, ClipError> {
        if self.arg("model_norm").and_then(Value::as_bool) == Some(true) {
            return Err(self.refuse(
                "it has a norm behind its blocks (`model_norm`), which no \
                                    C-RADIOv3 has",
            ));
        }
        let (teacher, token) = self.teacher(usual)?;
        let trunk = self.trunk_numbers(usual)?;
        let head = self.head_numbers(&self.head_prefix(&teacher)?, trunk.width)?;
        Ok(RadioNumbers { teacher, token, trunk, head, ..usual.clone() })
    }

    /// Where the parts of the model are in this file.
    pub(crate) fn container(&self, numbers: &RadioNumbers) -> Result<Container, ClipError> {
        let gamma = format!("{}blocks.0.ls1.gamma", self.trunk);
        let layer_scale = if self.file.entry(&gamma).is_some() { "gamma" } else { "grandma" };
        Ok(Container {
            trunk: self.trunk,
            head: self.head_prefix(&numbers.teacher)?,
            layer_scale,
            ..Container::tao(numbers)
        })
    }

    /// Mean and deviation of the input that the file keeps, if it does.
    pub(crate) fn normalisation(&self) -> Result<Option<[[f64; 3]; 2]>, ClipError> {
        let prefix = if self.trunk == HUB { "" } else { "radio_model." };
        let read = |name: &str| -> Result<Option<[f64; 3]>, ClipError> {
            let name = format!("{prefix}input_conditioner.{name}");
            if self.file.entry(&name).is_none() {
                return Ok(None);
            }
            let values: Vec<f64> =
                self.file.read_f32(&name)?.into_iter().map(round_to_f32_digits).collect();
            let values = <[f64; 3]>::try_from(values);
            values.map(Some).map_err(|_| self.refuse(format!("`{name}` has not three values")))
        };
        Ok(read("norm_mean")?.zip(read("norm_std")?).map(|(mean, std)| [mean, std]))
    }

    /// Name and class token of the adaptor's teacher.
    fn teacher(&self, usual: &RadioNumbers) -> Result<(String, usize), ClipError> {
        let wanted = usual.adaptor.teachers();
        let teachers = self.teachers();
        if teachers.is_empty() {
            let held = wanted.iter().find(|name| self.head_prefix(name).is_ok());
            let name = held.ok_or_else(|| self.no_head(wanted))?;
            return Ok(((*name).to_owned(), usual.token));
        }
        let named = |teacher: &&&Value| name(teacher).is_some_and(|name| wanted.contains(&name));
        let found = teachers.iter().enumerate().find(|(_, teacher)| named(teacher));
        let (index, teacher) = found.ok_or_else(|| self.no_head(wanted))?;
        let slot = teacher.get("token_slot").and_then(Value::as_u64).map(|slot| slot as usize);
        let own_token = self.arg("cls_token_per_teacher").and_then(Value::as_bool) != Some(false);
        let token = if own_token { slot.unwrap_or(index) } else { 0 };
        Ok((name(teacher).unwrap_or_default().to_owned(), token))
    }

    fn trunk_numbers(&self, usual: &RadioNumbers) -> Result<TrunkNumbers, ClipError> {
        let [width, patch] = self.matrix(self.trunk, EMBEDDER)?;
        if patch != 3 * PATCH.pow(2) {
            let found = format!("its patches have {patch} values, needed {}", 3 * PATCH.pow(2));
            return Err(self.refuse(found));
        }
        let rows = self.shape(self.trunk, "patch_generator.pos_embed")?;
        let rows = rows.iter().rev().nth(1).copied().unwrap_or(0);
        let [prefix, _] = self.matrix(self.trunk, "patch_generator.cls_token.token")?;
        let [mlp_width, _] = self.matrix(self.trunk, "blocks.0.mlp.fc1.weight")?;
        let held = |name: &str| self.file.entry(&format!("{}{name}", self.trunk)).is_some();
        let class_tokens = self.class_tokens(usual.trunk.class_tokens);
        let num_heads = self.num_heads(width, usual)?;
        if rows == 0 || rows.isqrt().pow(2) != rows {
            return Err(self.refuse(format!("its position table has {rows} rows, no square")));
        }
        if class_tokens > prefix {
            let found = format!("it has {prefix} prefix tokens and {class_tokens} teachers");
            return Err(self.refuse(found));
        }
        Ok(TrunkNumbers {
            width,
            depth: self.count(self.trunk, "blocks", "norm1.weight"),
            num_heads,
            mlp_width,
            layer_scale: held("blocks.0.ls1.grandma") || held("blocks.0.ls1.gamma"),
            class_tokens,
            registers: prefix - class_tokens,
            table_side: rows.isqrt(),
        })
    }

    /// No tensor tells the number of attention heads.
    fn num_heads(&self, width: usize, usual: &RadioNumbers) -> Result<usize, ClipError> {
        let written = self.arg("model_kwargs").and_then(|kwargs| kwargs.get("num_heads"));
        match written.and_then(Value::as_u64) {
            Some(heads) => Ok(heads as usize),
            None if width == usual.trunk.width => Ok(usual.trunk.num_heads),
            None => Err(self.refuse(format!(
                "its width is {width}, `model.type` means {}, and nothing says how many attention \
                 heads it has",
                usual.trunk.width
            ))),
        }
    }

    fn head_numbers(&self, prefix: &str, width: usize) -> Result<HeadNumbers, ClipError> {
        let [hidden, input] = self.matrix(prefix, "fc1.weight")?;
        if input != width {
            let found = format!("`{prefix}fc1.weight` takes {input} values, needed {width}");
            return Err(self.refuse(found));
        }
        let second = self.file.entry(&format!("{prefix}final.2.weight")).is_some();
        let (version, last) =
            if second { (Version::V2, "final.2.weight") } else { (Version::V1, "fc2.weight") };
        let [output, _] = self.matrix(prefix, last)?;
        Ok(HeadNumbers { version, hidden, inner: self.count(prefix, "blocks", "0.weight"), output })
    }

    /// In front of the names of a teacher's head: under its name, or under its place in the list.
    fn head_prefix(&self, teacher: &str) -> Result<String, ClipError> {
        let place = self.teachers().iter().position(|known| name(known) == Some(teacher));
        let candidates = match self.trunk {
            HUB => {
                vec![Some(format!("_heads.{teacher}.")), place.map(|at| format!("_heads.{at}."))]
            }
            _ => vec![Some(format!("radio_model.adaptors.{teacher}.head_mlp."))],
        };
        let held = |prefix: &String| self.file.entry(&format!("{prefix}fc1.weight")).is_some();
        candidates.into_iter().flatten().find(held).ok_or_else(|| self.no_head(&[teacher]))
    }

    /// One for each distinct teacher.
    fn class_tokens(&self, usual: usize) -> usize {
        if self.arg("cls_token_per_teacher").and_then(Value::as_bool) == Some(false) {
            return 1;
        }
        let mut names: Vec<&str> = self.teachers().into_iter().filter_map(name).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() { usual } else { names.len() }
    }

    fn teachers(&self) -> Vec<&Value> {
        self.arg("teachers").and_then(Value::as_array).into_iter().flatten().collect()
    }

    fn arg(&self, key: &str) -> Option<&Value> {
        self.args.as_ref()?.get(key)
    }

    fn count(&self, prefix: &str, list: &str, last: &str) -> usize {
        count(self.file, prefix, list, last)
    }

    fn matrix(&self, prefix: &str, name: &str) -> Result<[usize; 2], ClipError> {
        matrix(self.file, prefix, name)
    }

    fn shape(&self, prefix: &str, name: &str) -> Result<Vec<usize>, ClipError> {
        shape(self.file, prefix, name)
    }

    fn no_head(&self, wanted: &[&str]) -> ClipError {
        self.refuse(format!(
            "it has no summary head of the teacher `{}`: the text adaptors are in the `.pth.tar` files of \
             nvidia/C-RADIOv3-*, their `model.safetensors` hold the backbone only",
            wanted.join("` or `")
        ))
    }

    fn refuse(&self, reason: impl Into<String>) -> ClipError {
        refuse(self.file.path(), reason)
    }
}

const EMBEDDER: &str = "patch_generator.embedder.weight";

/// Numbers of the text tower in `file`, whose names begin with `prefix`; `None` where it holds none.
/// What the file leaves open is that of `usual`.
pub(crate) fn text_numbers(
    file: &WeightsFile,
    prefix: &str,
    usual: &TextNumbers,
) -> Result<Option<TextNumbers>, ClipError> {
    const LAYOUTS: [[&str; 5]; 2] = [
        [
            "embeddings.token_embedding.weight",
            "embeddings.position_embedding.weight",
            "encoder.layers",
            "layer_norm1.weight",
            "mlp.fc1.weight",
        ],
        [
            "token_embedding.weight",
            "positional_embedding",
            "transformer.resblocks",
            "ln_1.weight",
            "mlp.c_fc.weight",
        ],
    ];
    let held = |layout: &&[&str; 5]| file.entry(&format!("{prefix}{}", layout[0])).is_some();
    let Some([tokens, positions, blocks, norm, mlp]) = LAYOUTS.iter().find(held) else {
        return Ok(None);
    };
    let [vocab_size, width] = matrix(file, prefix, tokens)?;
    let [context_length, _] = matrix(file, prefix, positions)?;
    let [mlp_width, _] = matrix(file, prefix, &format!("{blocks}.0.{mlp}"))?;
    let written = written_heads(file)?;
    let num_heads = match written {
        Some(heads) => heads,
        None if width == usual.width => usual.num_heads,
        None => {
            return Err(refuse(
                file.path(),
                format!(
                    "its text tower has the width {width}, not {}, and no config.json beside it says how \
                     many attention heads it has",
                    usual.width
                ),
            ));
        }
    };
    let depth = count(file, prefix, blocks, norm);
    Ok(Some(TextNumbers { vocab_size, context_length, width, depth, num_heads, mlp_width }))
}

/// Attention heads of the text tower as the configuration beside a file names them.
fn written_heads(file: &WeightsFile) -> Result<Option<usize>, ClipError> {
    let transformers = file.config("config.json")?;
    let open_clip = file.config("open_clip_config.json")?;
    let heads = |config: &Option<Value>, path: &str| {
        config.as_ref().and_then(|config| config.pointer(path)?.as_u64()).map(|n| n as usize)
    };
    Ok(heads(&transformers, "/text_config/num_attention_heads")
        .or_else(|| heads(&open_clip, "/model_cfg/text_cfg/heads")))
}

/// How many of `{prefix}{list}.0.{last}`, `….1.…` there are without a gap.
fn count(file: &WeightsFile, prefix: &str, list: &str, last: &str) -> usize {
    (0..).take_while(|i| file.entry(&format!("{prefix}{list}.{i}.{last}")).is_some()).count()
}

/// Rows and columns.
fn matrix(file: &WeightsFile, prefix: &str, name: &str) -> Result<[usize; 2], ClipError> {
    let shape = shape(file, prefix, name)?;
    <[usize; 2]>::try_from(shape.as_slice()).map_err(|_| {
        refuse(file.path(), format!("`{prefix}{name}` has shape {shape:?}, needed two dimensions"))
    })
}

fn shape(file: &WeightsFile, prefix: &str, name: &str) -> Result<Vec<usize>, ClipError> {
    let full = format!("{prefix}{name}");
    let entry = file.entry(&full);
    let missing = || refuse(file.path(), format!("`{full}` is missing"));
    entry.map(|entry| entry.shape.clone()).ok_or_else(missing)
}

pub(super) fn refuse(path: &Path, reason: impl Into<String>) -> ClipError {
    ClipError::Radio { path: path.to_owned(), reason: reason.into() }
}

fn name(teacher: &Value) -> Option<&str> {
    teacher.get("name")?.as_str()
}

/// The shortest decimal number that is this f32, as the registry writes its means.
fn round_to_f32_digits(value: f32) -> f64 {
    value.to_string().parse().expect("a printed number")
}
