//! Key maps: the check of a table, the layout it describes, the choice among several.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::Device,
};
use hearth_weights::{KeyMap, Rule, WeightsFile, parameters};

use super::{
    bytes::{counting, message, put},
    model::{Pool, Tiny},
};

fn map(rules: Vec<Rule>) -> KeyMap {
    KeyMap { name: "test".to_owned(), rules, ignored: vec![], recognised_by: vec![] }
}

#[test]
fn the_layout_of_a_file_follows_from_the_model() {
    let parameters = parameters(&Tiny::new(&Device::flex()));
    let layout = Tiny::foreign_layout().layout(&parameters).unwrap();
    let mut expected = vec![
        ("token_embedding.weight".to_owned(), vec![5, 6]),
        ("embeddings.patch.weight".to_owned(), vec![4, 3, 2, 2]),
        ("embeddings.patch.bias".to_owned(), vec![4]),
        ("embeddings.position".to_owned(), vec![4, 6]),
        ("proj".to_owned(), vec![6, 3]),
        ("logit_scale".to_owned(), vec![]),
    ];
    for layer in 0..2 {
        for kind in ["weight", "bias"] {
            expected.push((format!("encoder.layers.{layer}.ln.{kind}"), vec![6]));
            let shape = if kind == "weight" { vec![2, 6] } else { vec![2] };
            for part in ["a", "b", "c"] {
                expected.push((format!("encoder.layers.{layer}.{part}_{kind}"), shape.clone()));
            }
        }
    }
    expected.sort();
    assert_eq!(layout.into_iter().collect::<Vec<_>>(), expected);

    let pool = hearth_weights::parameters(&Pool::new(4, &Device::flex()));
    let layout = Pool::in_proj().layout(&pool).unwrap();
    let expected =
        [("attention.in_proj_bias", vec![12]), ("attention.in_proj_weight", vec![12, 4])];
    assert!(layout.iter().map(|(name, shape)| (name.as_str(), shape.clone())).eq(expected));
}

#[test]
fn a_wrong_table_is_found() {
    #[derive(Module, Debug)]
    struct Two {
        a: Linear,
        b: Linear,
    }
    let device = Device::flex();
    let linear = || LinearConfig::new(3, 4).init(&device);
    let parameters = parameters(&Two { a: linear(), b: linear() });
    let check = |rules: Vec<Rule>, expected: &str| {
        let err = map(rules).check(&parameters).unwrap_err();
        assert_eq!(err.to_string(), format!("key map `test`: {expected}"));
    };

    map(vec![Rule::same("a.{}", "x.{}"), Rule::same("b.{}", "y.{}")]).check(&parameters).unwrap();
    check(vec![Rule::same("a.{}", "x.{}")], "no rule for `b.weight`; no rule for `b.bias`");
    check(
        vec![Rule::same("{..}", "{..}"), Rule::same("b.weight", "y")],
        "two rules for `b.weight`: `{..}` = `{..}` and `b.weight` = `y`",
    );
    check(
        vec![Rule::same("{}.bias", "{}.bias"), Rule::same("{}.weight", "w")],
        "`{}.weight` = `w`: the wildcards of its sides differ; no rule for `a.weight`; no rule for \
         `b.weight`",
    );
    check(
        vec![
            Rule::same("a.{}", "x.{}"),
            Rule::same("b.bias", "x.bias"),
            Rule::same("b.weight", "y"),
        ],
        "`x.bias` is not covered exactly once, by `a.bias`, `b.bias`",
    );
    check(
        vec![Rule::same("b.{}", "b.{}"), Rule::split("a.{}", &["q.{}", "k.{}", "v.{}"])],
        "`a.{}` = `q.{}` + `k.{}` + `v.{}`: `a.weight` has shape [4, 3], which does not fit; \
         `a.{}` = `q.{}` + `k.{}` + `v.{}`: `a.bias` has shape [4], which does not fit",
    );
    check(
        vec![Rule::same("{}.weight", "{}.weight"), Rule::transposed("{}.bias", "{}.b")],
        "`{}.bias` = `{}.b`: `a.bias` has shape [4], which does not fit; `{}.bias` = `{}.b`: \
         `b.bias` has shape [4], which does not fit",
    );
    check(
        vec![Rule::same("b.{}", "b.{}"), Rule::merged(&[("a.{}", 1), ("c.{}", 1)], "ac.{}")],
        "`ac.bias` is not covered exactly once, by `a.bias`; `ac.weight` is not covered exactly \
         once, by `a.weight`",
    );
    check(
        vec![Rule::same("{}.weight", "{}.weight"), Rule::same("{}.bias", "{}.bias").rank(0)],
        "`{}.bias` = `{}.bias`: `a.bias` has shape [4], which does not fit; `{}.bias` = \
         `{}.bias`: `b.bias` has shape [4], which does not fit",
    );
}

#[test]
fn parameters_of_one_name_are_refused() {
    let parameters = parameters(&LinearConfig::new(3, 4).init(&Device::flex()));
    let twice = [&parameters[..], &parameters[1..]].concat();
    let err = KeyMap::same_names("test").check(&twice).unwrap_err();
    assert!(err.to_string().contains("two parameters are called `bias`"), "{err}");
}

#[test]
fn the_layout_is_recognised_by_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let maps = [
        Tiny::foreign_layout(),
        KeyMap {
            recognised_by: vec!["blocks.{}.fc.weight".to_owned()],
            ..KeyMap::same_names("ours")
        },
    ];
    let open = |names: &[&str]| {
        let tensors: Vec<(&str, &[usize])> = names.iter().map(|name| (*name, &[][..])).collect();
        let path = put(folder.path(), "a.safetensors", counting(&tensors));
        WeightsFile::open(path).unwrap()
    };
    let check = |names: &[&str], expected: &str| {
        let found = match KeyMap::recognise(&maps, &open(names)) {
            Ok(map) => map.name.clone(),
            Err(err) => message(&err, folder.path()),
        };
        assert_eq!(found, expected);
    };
    check(&["proj", "encoder.layers.0.ln.weight", "x"], "foreign");
    check(&["blocks.3.fc.weight"], "ours");
    check(
        &["proj", "z", "model.blocks.3.fc.weight"],
        "a.safetensors: found no known layout among its 3 tensors, looked for foreign \
         (`encoder.layers.0.ln.weight`), ours (`blocks.{}.fc.weight`)\n\
         hint: the file holds `model.blocks.3.fc.weight`, `proj`, `z`",
    );
}
