//! Loading: every difference at once, what may differ by permission, and the report.

use std::{collections::BTreeMap, path::PathBuf};

use burn::{
    module::{Initializer, Module, Param},
    tensor::{Device, Tensor},
};
use hearth_weights::{
    KeyMap, LoadOptions, LoadReport, Resize, Rule, WeightsError, WeightsFile, load, parameters,
    save,
};
use tempfile::TempDir;

use super::{
    bytes::{counting, file, message, put},
    model::{Pool, Tiny, numbered, values},
};

/// A file in the foreign layout, with tensors left out, added and of other shapes.
fn foreign(folder: &TempDir, change: impl FnOnce(&mut Vec<(String, Vec<usize>)>)) -> WeightsFile {
    let parameters = parameters(&Tiny::new(&Device::flex()));
    let layout = Tiny::foreign_layout().layout(&parameters).unwrap();
    let mut tensors: Vec<(String, Vec<usize>)> = layout.into_iter().collect();
    change(&mut tensors);
    let tensors: Vec<(&str, &[usize])> =
        tensors.iter().map(|(name, shape)| (name.as_str(), &shape[..])).collect();
    WeightsFile::open(put(folder.path(), "a.safetensors", counting(&tensors))).unwrap()
}

fn try_load(file: &WeightsFile, options: &LoadOptions) -> Result<(Tiny, LoadReport), WeightsError> {
    load(Tiny::new(&Device::flex()), file, &Tiny::foreign_layout(), options)
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn every_rule_puts_the_values_where_they_belong() {
    let folder = tempfile::tempdir().unwrap();
    let (model, report) = try_load(&foreign(&folder, |_| {}), &LoadOptions::default()).unwrap();
    let values = values(&model);
    let value = |name: &str| {
        let (_, values) = values.iter().find(|(found, _)| found == name).unwrap();
        values.iter().map(|value| *value as usize).collect::<Vec<_>>()
    };
    assert_eq!(value("pos"), (0..24).collect::<Vec<_>>());
    assert_eq!(value("blocks.1.fc.bias"), [0, 1, 0, 1, 0, 1]);
    assert_eq!(value("blocks.0.fc.weight"), (0..12).cycle().take(36).collect::<Vec<_>>());
    // theirs [6, 3] counting by rows, ours [3, 6]
    assert_eq!(value("head.weight")[..7], [0, 3, 6, 9, 12, 15, 1]);
    assert_eq!(report.loaded(), 14);
    assert_eq!(report.matched, ["logit_scale"]);

    let path = put(
        folder.path(),
        "pool.safetensors",
        counting(&[("attention.in_proj_weight", &[6, 2]), ("attention.in_proj_bias", &[6])]),
    );
    let pool = Pool::new(2, &Device::flex());
    let file = WeightsFile::open(path).unwrap();
    let (pool, _) = load(pool, &file, &Pool::in_proj(), &LoadOptions::default()).unwrap();
    let expected = [
        ("q.weight", vec![0.0, 1.0, 2.0, 3.0]),
        ("q.bias", vec![0.0, 1.0]),
        ("kv.weight", vec![4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]),
        ("kv.bias", vec![2.0, 3.0, 4.0, 5.0]),
    ];
    assert_eq!(super::model::values(&pool), expected.map(|(name, v)| (name.to_owned(), v)));
}

#[test]
fn all_differences_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = foreign(&folder, |tensors| {
        // Renamed in both layers, one part of a split gone, two of another size, two too many.
        for (name, shape) in tensors.iter_mut() {
            if name.ends_with("ln.weight") {
                *name = name.replace("ln.weight", "ln1.weight");
            }
            if name.ends_with("a_bias") {
                *shape = vec![5];
            }
            if name == "proj" {
                *shape = vec![3, 6];
            }
        }
        tensors.retain(|(name, _)| name != "encoder.layers.1.b_weight");
        tensors.push(("decoder.0.x".to_owned(), vec![2, 2]));
        tensors.push(("decoder.1.x".to_owned(), vec![2, 2]));
    });
    let err = try_load(&file, &LoadOptions::default()).unwrap_err();
    assert_eq!(
        message(&err, folder.path()),
        "a.safetensors (layout foreign): 3 of 14 parameters are missing, 4 tensors are unexpected, \
         3 shapes differ
  missing: `blocks.{0..1}.norm.weight`, looked for `encoder.layers.{0..1}.ln.weight`, nearest in the file `encoder.layers.{0..1}.ln1.weight`
  missing: `blocks.1.fc.weight`, looked for `encoder.layers.1.b_weight`, nearest in the file `encoder.layers.1.ln1.weight`
  unexpected: `decoder.{0..1}.x` of shape [2, 2]
  unexpected: `encoder.layers.{0..1}.ln1.weight` of shape [6]
  shape: `encoder.layers.{0..1}.a_bias` is [5] in the file, the model needs [2]
  shape: `proj` is [3, 6] in the file, the model needs [6, 3]
hint: the file holds a model of another size than the one that is built"
    );
    let WeightsError::Mismatch(mismatch) = err else { panic!("{err}") };
    assert_eq!(mismatch.missing.len(), 3);
    assert_eq!(mismatch.unexpected.len(), 4);
    assert_eq!(mismatch.misshapen.len(), 3);
}

#[test]
fn what_may_differ_is_named_by_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let file = foreign(&folder, |tensors| {
        tensors.retain(|(name, _)| !name.starts_with("token_embedding") && name != "logit_scale");
        tensors.push(("decoder.0.x".to_owned(), vec![2, 2]));
        tensors.push(("embeddings.position_ids".to_owned(), vec![4]));
    });
    let options = LoadOptions {
        fresh: strings(&["embed.{..}", "logit_scale"]),
        dropped: strings(&["decoder.{..}"]),
        ..LoadOptions::default()
    };
    let model = numbered(Tiny::new(&Device::flex()));
    let before = values(&model);
    let (model, report) = load(model, &file, &Tiny::foreign_layout(), &options).unwrap();
    assert_eq!(values(&model)[0], before[0], "a fresh parameter stays as it was");
    assert_eq!(report.fresh, ["embed.weight", "logit_scale"]);
    assert_eq!(report.dropped, ["decoder.0.x"]);
    assert_eq!(report.ignored, ["embeddings.position_ids"]);
    assert_eq!(
        report.to_string().replace(&format!("{}/", folder.path().display()), ""),
        "a.safetensors: 12 of 14 parameters, layout foreign
  renamed     12  `patch.weight`, `patch.bias`, `pos` and 9 more, from `embeddings.patch.weight` and so on
  fresh        2  `embed.weight`, `logit_scale`
  dropped      1  `decoder.0.x`
  ignored      1  `embeddings.position_ids`"
    );

    // Each permission is needed.
    let without_fresh = LoadOptions { fresh: Vec::new(), ..options.clone() };
    let err = try_load(&file, &without_fresh).unwrap_err();
    assert!(err.to_string().contains("2 of 14 parameters are missing"), "{err}");
    let without_dropped = LoadOptions { dropped: Vec::new(), ..options };
    let err = try_load(&file, &without_dropped).unwrap_err();
    assert!(err.to_string().contains("1 tensor is unexpected"), "{err}");
}

#[test]
fn what_is_replaced_is_not_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let file = foreign(&folder, |tensors| {
        tensors.iter_mut().find(|(name, _)| name == "proj").unwrap().1 = vec![6, 7];
        tensors.retain(|(name, _)| name != "logit_scale");
    });
    let options = LoadOptions { replaced: strings(&["head.{..}"]), ..LoadOptions::default() };
    assert!(try_load(&file, &options).unwrap_err().to_string().contains("missing: `logit_scale`"));
    let options = LoadOptions { fresh: strings(&["logit_scale"]), ..options };
    let (_, report) = try_load(&file, &options).unwrap();
    assert_eq!(report.fresh, ["head.weight", "logit_scale"]);
    assert_eq!(report.dropped, ["proj"]);
}

/// A kernel of each kind.
#[derive(Module, Debug)]
struct Kernels {
    full: Param<Tensor<4>>,
    depthwise: Param<Tensor<4>>,
}

#[test]
fn kernels_may_be_kept_in_rows() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    let new = || Kernels {
        full: Initializer::Zeros.init([4, 3, 2, 2], &device),
        depthwise: Initializer::Zeros.init([5, 1, 3, 3], &device),
    };
    let map = KeyMap {
        rules: vec![
            Rule::reversed("full", "full.kernel", 2),
            Rule::reversed("depthwise", "depthwise.kernel", 2).rank(2),
        ],
        ..KeyMap::same_names("rows")
    };
    let tensors: [(&str, &[usize]); 2] =
        [("full.kernel", &[4, 3, 4]), ("depthwise.kernel", &[9, 5])];
    let layout = map.layout(&parameters(&new())).unwrap();
    assert!(tensors.iter().all(|(name, shape)| layout[*name] == *shape), "{layout:?}");

    let path = put(folder.path(), "a.safetensors", counting(&tensors));
    let file = WeightsFile::open(&path).unwrap();
    let (model, _) = load(new(), &file, &map, &LoadOptions::default()).unwrap();
    let full: Vec<f32> = model.full.val().into_data().try_into_vec().unwrap();
    let depthwise: Vec<f32> = model.depthwise.val().into_data().try_into_vec().unwrap();
    for (output, input, row, column) in [(0, 0, 0, 0), (1, 2, 0, 1), (3, 0, 1, 0), (2, 1, 1, 1)] {
        let found = full[((output * 3 + input) * 2 + row) * 2 + column];
        assert_eq!(found, (((column * 2 + row) * 3 + input) * 4 + output) as f32);
    }
    for (channel, row, column) in [(0, 0, 0), (1, 0, 2), (4, 2, 1)] {
        let found = depthwise[(channel * 3 + row) * 3 + column];
        assert_eq!(found, ((column * 3 + row) * 5 + channel) as f32);
    }
    save(&model, &path, &map, &BTreeMap::new()).unwrap();
    let file = WeightsFile::open(&path).unwrap();
    let (again, _) = load(new(), &file, &map, &LoadOptions::default()).unwrap();
    assert_eq!(values(&again), values(&model));

    let wrong = counting(&[("full.kernel", &[3, 4, 4]), ("depthwise.kernel", &[9, 5])]);
    let file = WeightsFile::open(put(folder.path(), "b.safetensors", wrong)).unwrap();
    let err = load(new(), &file, &map, &LoadOptions::default()).unwrap_err().to_string();
    assert!(
        err.contains("`full.kernel` is [3, 4, 4] in the file, the model needs [4, 3, 4]"),
        "{err}"
    );
}

#[test]
fn what_a_file_holds_is_told_by_our_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = foreign(&folder, |tensors| {
        tensors.retain(|(name, _)| {
            name.starts_with("encoder.layers.1") || name == "embeddings.position"
        });
        tensors.push(("other".to_owned(), vec![2]));
    });
    let held = Tiny::foreign_layout().held(&file);
    let held: Vec<(&str, &[usize])> =
        held.iter().map(|(name, shape)| (name.as_str(), &shape[..])).collect();
    let expected: [(&str, &[usize]); 5] = [
        ("blocks.1.fc.bias", &[2]),
        ("blocks.1.fc.weight", &[2, 6]),
        ("blocks.1.norm.bias", &[6]),
        ("blocks.1.norm.weight", &[6]),
        ("pos", &[4, 6]),
    ];
    assert_eq!(held, expected);
}

#[test]
fn half_of_a_split_does_not_pass_as_fresh() {
    let folder = tempfile::tempdir().unwrap();
    let file = foreign(&folder, |tensors| tensors.retain(|(name, _)| !name.ends_with(".b_bias")));
    let options = LoadOptions { fresh: strings(&["{..}"]), ..LoadOptions::default() };
    let err = try_load(&file, &options).unwrap_err();
    assert!(err.to_string().contains("missing: `blocks.{0..1}.fc.bias`"), "{err}");
}

#[test]
fn positions_are_resized_by_permission() {
    /// The mean of the rows, everywhere.
    fn mean(values: &[f32], from: &[usize], to: &[usize]) -> Option<Vec<f32>> {
        let (&[rows, width], &[wanted, needed]) = (from, to) else { panic!("{from:?} {to:?}") };
        if width != needed {
            return None;
        }
        let column = |i: usize| values.iter().skip(i).step_by(width).sum::<f32>() / rows as f32;
        let row: Vec<f32> = (0..width).map(column).collect();
        Some(row.repeat(wanted))
    }
    let folder = tempfile::tempdir().unwrap();
    let shaped = |shape: &[usize]| {
        let shape = shape.to_vec();
        foreign(&folder, |tensors| {
            let position = tensors.iter_mut().find(|(name, _)| name == "embeddings.position");
            position.unwrap().1 = shape;
        })
    };
    let resize = Resize { name: "{}".to_owned(), method: "mean of rows", apply: mean };
    let options = LoadOptions { resize: vec![resize], ..LoadOptions::default() };

    let (model, report) = try_load(&shaped(&[2, 6]), &options).unwrap();
    let (_, positions) = &values(&model)[3];
    assert_eq!(*positions, [3.0, 4.0, 5.0, 6.0, 7.0, 8.0].repeat(4));
    let text = report.to_string();
    assert!(text.contains("resized      1  `pos` [2, 6] -> [1, 4, 6] (mean of rows)"), "{text}");

    // Leading dimensions of 1 do not matter; a method may refuse; a fitting shape is left alone.
    assert!(try_load(&shaped(&[1, 2, 6]), &options).is_ok());
    let err = try_load(&shaped(&[2, 7]), &options).unwrap_err();
    assert!(err.to_string().contains("`embeddings.position` is [2, 7] in the file"), "{err}");
    assert!(try_load(&shaped(&[4, 6]), &options).unwrap().1.resized.is_empty());
    assert!(try_load(&shaped(&[2, 6]), &LoadOptions::default()).is_err());
}

#[test]
fn shapes_are_equal_up_to_dimensions_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &str, shape: &[usize]| {
        let shape = shape.to_vec();
        let file = foreign(&folder, |tensors| {
            tensors.iter_mut().find(|(found, _)| found == name).unwrap().1 = shape;
        });
        try_load(&file, &LoadOptions::default()).is_ok()
    };
    assert!(with("embeddings.position", &[1, 4, 6]));
    assert!(with("embeddings.position", &[4, 1, 6]));
    assert!(!with("embeddings.position", &[6, 4]));
    assert!(!with("embeddings.position", &[24]));
    assert!(with("logit_scale", &[1]));
    assert!(with("logit_scale", &[1, 1]));
    assert!(!with("logit_scale", &[2]));
    assert!(!with("proj", &[1, 6, 3]), "a transposed matrix has two dimensions");
}

#[test]
fn half_precision_is_loaded_and_integers_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let load_scale = |dtype: &str, data: &[u8]| -> Result<f32, String> {
        let header = format!(
            r#"{{"logit_scale":{{"dtype":"{dtype}","shape":[],"data_offsets":[0,{}]}}}}"#,
            data.len()
        );
        let path = put(folder.path(), "a.safetensors", file(&header, data));
        let options = LoadOptions { fresh: strings(&["{..}"]), ..LoadOptions::default() };
        let model = Tiny::new(&Device::flex());
        let file = WeightsFile::open(path).unwrap();
        load(model, &file, &KeyMap::same_names("torch"), &options)
            .map(|(model, _)| model.logit_scale.val().into_scalar::<f32>())
            .map_err(|err| message(&err, folder.path()))
    };
    assert_eq!(load_scale("F16", &0x4200u16.to_le_bytes()), Ok(3.0));
    assert_eq!(load_scale("BF16", &0x4040u16.to_le_bytes()), Ok(3.0));
    assert_eq!(load_scale("F64", &3.0f64.to_le_bytes()), Ok(3.0));
    assert_eq!(
        load_scale("I32", &3i32.to_le_bytes()).unwrap_err(),
        "a.safetensors: tensor `logit_scale` has type I32, need F32, F16, BF16 or F64"
    );
}

#[test]
fn a_map_that_does_not_fit_the_model_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = foreign(&folder, |_| {});
    let map =
        KeyMap { rules: vec![Rule::same("pos", "embeddings.position")], ..Tiny::foreign_layout() };
    let err = load(Tiny::new(&Device::flex()), &file, &map, &LoadOptions::default()).unwrap_err();
    assert!(err.to_string().starts_with("key map `foreign`: no rule for `embed.weight`"), "{err}");
}

#[test]
fn memory_holds_the_model_and_one_tensor() {
    let Some(before) = peak_bytes() else { return };
    // 32 layers of 4 MiB.
    let folder = tempfile::tempdir().unwrap();
    let tensors: Vec<String> = (0..32).map(|layer| format!("{layer}.weight")).collect();
    let shape: &[usize] = &[1024, 1024];
    let tensors: Vec<(String, Vec<usize>, Vec<f32>)> =
        tensors.into_iter().map(|name| (name, shape.to_vec(), Vec::new())).collect();
    let path: PathBuf = folder.path().join("a.safetensors");
    let layout = tensors.iter().map(|(name, shape, _)| (name.clone(), shape.clone()));
    let mut writer =
        hearth_weights::TensorWriter::create(&path, &Default::default(), layout).unwrap();
    for (name, ..) in &tensors {
        writer.write(name, &vec![1.0; 1 << 20]).unwrap();
    }
    writer.finish().unwrap();

    let device = Device::flex();
    let linear = || burn::nn::LinearConfig::new(1024, 1024).with_bias(false).init(&device);
    let model: Vec<burn::nn::Linear> = (0..32).map(|_| linear()).collect();
    let file = WeightsFile::open(&path).unwrap();
    let map = KeyMap::same_names("torch");
    let (model, _) = load(model, &file, &map, &LoadOptions::default()).unwrap();
    hearth_weights::save(&model, &path, &map, &Default::default()).unwrap();
    let taken = (peak_bytes().unwrap() - before) >> 20;
    // The other tests of this process run beside it and take little.
    assert!(taken < 128 + 48, "took {taken} MiB for a model of 128 MiB");
    drop(model);
}

/// The most memory that this process ever held, where the system tells.
fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? * 1024)
}
