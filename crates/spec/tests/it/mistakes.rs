//! Every kind of mistake, and the words for it.

use insta::assert_snapshot;

use super::definition::{checked, document, read};

#[track_caller]
fn said(yaml: &str) -> String {
    read(yaml, &[]).unwrap_err()
}

#[track_caller]
fn said_of(yaml: &str, overrides: &[&str]) -> String {
    read(yaml, overrides).unwrap_err()
}

#[test]
fn unknown_key_with_a_near_name() {
    assert_snapshot!(said("train:\n  num_epoch: 3\n"), @"
    error: run.yaml:2:3: `train.num_epoch`: unknown key
      |
    2 |   num_epoch: 3
      |   ^^^^^^^^^
      = hint: did you mean `train.num_epochs`?
    ");
}

#[test]
fn unknown_key_without_a_near_name() {
    assert_snapshot!(said("train:\n  colour: red\n"), @"
    error: run.yaml:2:3: `train.colour`: unknown key
      |
    2 |   colour: red
      |   ^^^^^^
      = hint: keys here are `num_epochs`, `gpu_ids`, `seed`, `optim`, `precision`, `results_dir`, `every`, `triplet`
    ");
}

#[test]
fn key_at_the_wrong_level() {
    assert_snapshot!(said("num_epochs: 3\nseed: 1\n"), @"
    error: run.yaml:1:1: `num_epochs`: unknown key
      |
    1 | num_epochs: 3
      | ^^^^^^^^^^
      = hint: it belongs elsewhere: `train.num_epochs`

    error: run.yaml:2:1: `seed`: unknown key
      |
    2 | seed: 1
      | ^^^^
      = hint: it belongs elsewhere: `train.seed`
    ");
}

#[test]
fn misspelled_key_at_the_wrong_level() {
    assert_snapshot!(said("num_epoch: 3\n"), @"
    error: run.yaml:1:1: `num_epoch`: unknown key
      |
    1 | num_epoch: 3
      | ^^^^^^^^^
      = hint: did you mean `train.num_epochs`?
    ");
}

#[test]
fn key_by_the_name_of_another_tool() {
    assert_snapshot!(said("epochs: 3\ntrain:\n  optim:\n    learning_rate: 1\n"), @"
    error: run.yaml:1:1: `epochs`: unknown key
      |
    1 | epochs: 3
      | ^^^^^^
      = hint: did you mean `train.num_epochs`?

    error: run.yaml:4:5: `train.optim.learning_rate`: unknown key
      |
    4 |     learning_rate: 1
      |     ^^^^^^^^^^^^^
      = hint: did you mean `train.optim.lr`?
    ");
}

#[test]
fn key_written_in_another_style() {
    assert_snapshot!(said("train:\n  optim:\n    optimizerType: lamb\n"), @"
    error: run.yaml:3:5: `train.optim.optimizerType`: unknown key
      |
    3 |     optimizerType: lamb
      |     ^^^^^^^^^^^^^
      = hint: did you mean `train.optim.optimizer_type`?
    ");
}

#[test]
fn dotted_key_in_a_file() {
    assert_snapshot!(said("train.optim.lr: 1\n"), @"
    error: run.yaml:1:1: `train.optim.lr`: unknown key
      |
    1 | train.optim.lr: 1
      | ^^^^^^^^^^^^^^
      = hint: in a file, `lr:` stands indented under `train:` under `optim:`
    ");
}

#[test]
fn unknown_key_in_a_list() {
    assert_snapshot!(said("data:\n  datasets:\n  - image_dir: /a\n    image_dirr: /b\n"), @"
    error: run.yaml:4:5: `data.datasets[0].image_dirr`: unknown key
      |
    4 |     image_dirr: /b
      |     ^^^^^^^^^^
      = hint: did you mean `data.datasets[0].image_dir`?
    ");
}

#[test]
fn wrong_types() {
    assert_snapshot!(said("train:\n  num_epochs: three\n  seed: 1.5\n  optim:\n    lr: [1]\n    clip: yes\ndata:\n  pin: maybe\n"), @"
    error: run.yaml:2:15: `train.num_epochs`: found `three`, needed an integer of at least 1
      |
    2 |   num_epochs: three
      |               ^^^^^

    error: run.yaml:3:9: `train.seed`: found `1.5`, needed an integer of at least -1
      |
    3 |   seed: 1.5
      |         ^^^

    error: run.yaml:5:5: `train.optim.lr`: found a list of 1, needed a number above 0
      |
    5 |     lr: [1]
      |     ^^

    error: run.yaml:6:11: `train.optim.clip`: found `yes`, needed a number above 0 or null
      |
    6 |     clip: yes
      |           ^^^

    error: run.yaml:8:8: `data.pin`: found `maybe`, needed `true` or `false`
      |
    8 |   pin: maybe
      |        ^^^^^
    ");
}

#[test]
fn numbers_that_are_almost_integers() {
    assert_snapshot!(said("train:\n  num_epochs: 1e3\n"), @"
    error: run.yaml:2:15: `train.num_epochs`: found `1e3`, needed an integer of at least 1
      |
    2 |   num_epochs: 1e3
      |               ^^^
      = hint: write `1000`
    ");
}

#[test]
fn null_where_a_value_is_needed() {
    assert_snapshot!(said("train:\n  seed:\n  optim:\n    optimizer_type: null\ntype: ~\n"), @"
    error: run.yaml:2:3: `train.seed`: found null, needed an integer of at least -1
      |
    2 |   seed:
      |   ^^^^
      = hint: without the key it is `1234`

    error: run.yaml:4:5: `train.optim.optimizer_type`: found null, needed `adamw` or `lamb`
      |
    4 |     optimizer_type: null
      |     ^^^^^^^^^^^^^^
      = hint: without the key it is `adamw`

    error: run.yaml:5:1: `type`: found null, needed a text
      |
    5 | type: ~
      | ^^^^
      = hint: without the key it is `small`
    ");
}

#[test]
fn numbers_out_of_range() {
    assert_snapshot!(said("train:\n  num_epochs: 0\n  optim: {lr: 0, betas: [0.9, 1]}\ndata:\n  grey: 1.5\n"), @"
    error: run.yaml:2:15: `train.num_epochs`: found `0`, needed an integer of at least 1
      |
    2 |   num_epochs: 0
      |               ^

    error: run.yaml:3:15: `train.optim.lr`: found `0`, needed a number above 0
      |
    3 |   optim: {lr: 0, betas: [0.9, 1]}
      |               ^

    error: run.yaml:3:31: `train.optim.betas[1]`: found `1`, needed a number of at least 0 and below 1
      |
    3 |   optim: {lr: 0, betas: [0.9, 1]}
      |                               ^

    error: run.yaml:5:9: `data.grey`: found `1.5`, needed a number from 0 to 1
      |
    5 |   grey: 1.5
      |         ^^^
    ");
}

#[test]
fn numbers_that_are_not_finite() {
    assert_snapshot!(said("train:\n  optim:\n    lr: .inf\n    clip: nan\n  seed: 99999999999999999999\n"), @"
    error: run.yaml:3:9: `train.optim.lr`: found `.inf`, needed a number above 0
      |
    3 |     lr: .inf
      |         ^^^^
      = hint: the number must be finite

    error: run.yaml:4:11: `train.optim.clip`: found `nan`, needed a number above 0 or null
      |
    4 |     clip: nan
      |           ^^^
      = hint: the number must be finite

    error: run.yaml:5:9: `train.seed`: found `99999999999999999999`, needed an integer of at least -1 in 64 bits
      |
    5 |   seed: 99999999999999999999
      |         ^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn unknown_option() {
    assert_snapshot!(said("train:\n  precision: fp23\n  optim:\n    optimizer_type: sgd\n"), @"
    error: run.yaml:2:14: `train.precision`: found `fp23`, needed `fp16` or `fp32`
      |
    2 |   precision: fp23
      |              ^^^^
      = hint: did you mean `fp32`?

    error: run.yaml:4:21: `train.optim.optimizer_type`: found `sgd`, needed `adamw` or `lamb`
      |
    4 |     optimizer_type: sgd
      |                     ^^^
    ");
}

#[test]
fn scalar_where_a_list_is_needed() {
    assert_snapshot!(said("train:\n  gpu_ids: 0\n"), @"
    error: run.yaml:2:12: `train.gpu_ids`: found `0`, needed a list of integers
      |
    2 |   gpu_ids: 0
      |            ^
      = hint: write `[0]`
    ");
}

#[test]
fn mapping_where_a_list_is_needed() {
    assert_snapshot!(said("data:\n  datasets:\n    image_dir: /a\n"), @"
    error: run.yaml:2:3: `data.datasets`: found a mapping, needed a list of mappings
      |
    2 |   datasets:
      |   ^^^^^^^^
      = hint: begin the first line of each entry with `- `
    ");
}

#[test]
fn list_of_the_wrong_length_or_items() {
    assert_snapshot!(said("train:\n  optim:\n    betas: [0.9]\n  gpu_ids: [0, one, -1]\ndata:\n  datasets: [/a]\n"), @"
    error: run.yaml:3:5: `train.optim.betas`: found a list of 1, needed a list of 2 numbers
      |
    3 |     betas: [0.9]
      |     ^^^^^

    error: run.yaml:4:16: `train.gpu_ids[1]`: found `one`, needed an integer of at least 0
      |
    4 |   gpu_ids: [0, one, -1]
      |                ^^^

    error: run.yaml:4:21: `train.gpu_ids[2]`: found `-1`, needed an integer of at least 0
      |
    4 |   gpu_ids: [0, one, -1]
      |                     ^^

    error: run.yaml:6:14: `data.datasets[0]`: found `/a`, needed a mapping with keys such as `image_dir`, `caption_dir`, `names`
      |
    6 |   datasets: [/a]
      |              ^^
    ");
}

#[test]
fn scalar_where_a_block_is_needed() {
    assert_snapshot!(said("train: 5\ndata: []\n"), @"
    error: run.yaml:1:8: `train`: found `5`, needed a mapping with keys such as `num_epochs`, `gpu_ids`, `seed`
      |
    1 | train: 5
      |        ^

    error: run.yaml:2:1: `data`: found a list of 0, needed a mapping with keys such as `datasets`, `batch_size`, `scale`
      |
    2 | data: []
      | ^^^^
    ");
}

#[test]
fn key_found_twice() {
    assert_snapshot!(said("train:\n  seed: 1\n  num_epochs: 2\n  seed: 3\n"), @"
    error: run.yaml:4:3: `train.seed`: found twice, first at run.yaml:2:3
      |
    4 |   seed: 3
      |   ^^^^
    ");
}

#[test]
fn mistakes_in_overrides() {
    let overrides =
        ["train.num_epochs=0", "train.optim={lr: -1}", "train.num_epoch=3", "seed=1", "+new.key=1"];
    assert_snapshot!(said_of("train: {seed: 1}", &overrides), @"
    error: override `train.num_epochs=0`: found `0`, needed an integer of at least 1

    error: override `train.optim={lr: -1}`: `train.optim.lr`: found `-1`, needed a number above 0

    error: override `train.num_epoch=3`: unknown key
      = hint: did you mean `train.num_epochs`?

    error: override `seed=1`: unknown key
      = hint: it belongs elsewhere: `train.seed`

    error: override `+new.key=1`: `new`: unknown key
      = hint: keys here are `model_name`, `results_dir`, `encryption_key`, `log`, `type`, `data`, `train`
    ");
}

#[test]
fn overrides_that_cannot_be_applied() {
    let overrides = [
        "train.seed",
        "=1",
        "train..seed=1",
        "train.gpu_ids=[0,1",
        "data.datasets[2].image_dir=/a",
        "~trian",
        "train[0]=1",
    ];
    assert_snapshot!(said_of("data: {datasets: [{image_dir: /a}]}\ntrain: {seed: 1}", &overrides), @"
    error: override `train.seed`: found no `=`, needed `key=value` or `~key`

    error: override `=1`: found no key, needed one such as `train.num_epochs`

    error: override `train..seed=1`: found the key `train..seed`, needed names joined by points: `train.num_epochs`

    error: override `train.gpu_ids=[0,1`: found the end, needed `]`

    error: override `data.datasets[2].image_dir=/a`: `data.datasets` is a list of 1, needed one of its indices

    error: override `~trian`: unknown key
      = hint: did you mean `train`?

    error: override `train[0]=1`: `train` is not a list, needed a key
    ");
}

#[test]
fn text_that_is_not_yaml() {
    assert_snapshot!(said("train:\n  seed: 1\n   num_epochs: 2\n"), @"
    error: run.yaml:3:14: not YAML: mapping values are not allowed in this context
      |
    3 |    num_epochs: 2
      |              ^
      = hint: keys of one block begin in the same column
    ");
}

#[test]
fn indentation_by_tabs() {
    assert_snapshot!(said("train:\n\tseed: 1\n\tnum_epochs: 2\n"), @"
    error: run.yaml:2:2: not YAML: tabs disallowed within this context (block indentation)
      |
    2 |  seed: 1
      |  ^
      = hint: indent with spaces, YAML does not take tabs
    ");
}

#[test]
fn colon_inside_a_value() {
    assert_snapshot!(said("type: a: b\n"), @"
    error: run.yaml:1:8: not YAML: mapping values are not allowed in this context
      |
    1 | type: a: b
      |        ^
      = hint: put quotes around a value that contains `: `
    ");
}

#[test]
fn colon_without_a_space() {
    assert_snapshot!(said("train:\n  seed:1\n"), @"
    error: run.yaml:2:3: `train`: found `seed:1`, needed a mapping with keys such as `num_epochs`, `gpu_ids`, `seed`
      |
    2 |   seed:1
      |   ^^^^^^
      = hint: a space stands between the colon and the value
    ");
    assert_snapshot!(said("seed:1\n"), @"
    error: run.yaml:1:1: found `seed:1`, needed a mapping of keys
      |
    1 | seed:1
      | ^^^^^^
      = hint: a space stands between the colon and the value
    ");
}

#[test]
fn interpolation_inside_brackets() {
    assert_snapshot!(said("train: {seed: ${data.batch_size}}\n"), @"
    error: run.yaml:1:16: not YAML: while parsing a flow mapping, did not find expected ',' or '}'
      |
    1 | train: {seed: ${data.batch_size}}
      |                ^
      = hint: put quotes around `${...}` inside `[]` and `{}`
    ");
}

#[test]
fn two_documents_or_none() {
    assert_snapshot!(said("seed: 1\n---\nseed: 2\n"), @"
    error: run.yaml:3:1: found a second document, needed one
      |
    3 | seed: 2
      | ^^^^^^^
    ");
    assert_snapshot!(said("- seed: 1\n"), @"
    error: run.yaml:1:1: found a list of 1, needed a mapping of keys
      |
    1 | - seed: 1
      | ^^^^^^^^^
    ");
}

#[test]
fn tags_and_keys_that_are_no_names() {
    assert_snapshot!(said("type: !python/object x\n? [a]\n: 1\n~: 2\n"), @"
    error: run.yaml:1:7: `type`: found the tag `!python/object`, needed a plain value
      |
    1 | type: !python/object x
      |       ^^^^^^^^^^^^^^^^

    error: run.yaml:2:3: found a list of 1 as a key, needed a name
      |
    2 | ? [a]
      |   ^

    error: run.yaml:4:1: found null as a key, needed a name
      |
    4 | ~: 2
      | ^
    ");
}

#[test]
fn merge_of_something_else() {
    assert_snapshot!(said("train:\n  <<: 5\n"), @"
    error: run.yaml:2:7: `train`: found `5` under `<<`, needed a mapping
      |
    2 |   <<: 5
      |       ^
    ");
}

#[test]
fn unknown_anchor_and_one_inside_itself() {
    assert_snapshot!(said("type: *x\n"), @"
    error: run.yaml:1:7: not YAML: while parsing node, found unknown anchor
      |
    1 | type: *x
      |       ^
    ");
    assert_snapshot!(said("train: &t\n  optim: *t\n"), @"
    error: run.yaml:2:10: `train.optim`: found an alias inside its own anchor, needed a value that ends
      |
    2 |   optim: *t
      |          ^^
    ");
}

#[test]
fn interpolations_that_lead_nowhere() {
    assert_snapshot!(said("type: ${results_dirr}\nmodel_name: ${.....x}\ntrain:\n  seed: ${data.datasets}\n"), @"
    error: run.yaml:1:7: `type`: `${results_dirr}` names no key
      |
    1 | type: ${results_dirr}
      |       ^^^^^^^^^^^^^^^

    error: run.yaml:2:13: `model_name`: `${.....x}` climbs out of the file, needed fewer points
      |
    2 | model_name: ${.....x}
      |             ^^^^^^^^^

    error: run.yaml:4:3: `train.seed`: found a list of 0 from `${data.datasets}`, needed an integer of at least -1
      |
    4 |   seed: ${data.datasets}
      |   ^^^^
    ");
}

#[test]
fn interpolations_in_a_circle() {
    assert_snapshot!(said("type: ${model_name}\nmodel_name: x${results_dir}\nresults_dir: ${type}\ntrain: {seed: '${type}'}\n"), @"
    error: run.yaml:1:7: `type`: found a circle of `${}`: `type` -> `model_name` -> `results_dir` -> `type`
      |
    1 | type: ${model_name}
      |       ^^^^^^^^^^^^^
    ");
    assert_snapshot!(said("train: {optim: '${train}'}\n"), @"
    error: run.yaml:1:16: `train.optim`: found a circle of `${}`: `train.optim` -> `train.optim`
      |
    1 | train: {optim: '${train}'}
      |                ^^^^^^^^^^
    ");
}

#[test]
fn interpolations_of_a_wrong_value() {
    assert_snapshot!(said("type: red\ntrain:\n  seed: ${type}\n  results_dir: ${data}/x\n"), @"
    error: run.yaml:3:9: `train.seed`: found `red` from `${type}`, needed an integer of at least -1
      |
    3 |   seed: ${type}
      |         ^^^^^^^

    error: run.yaml:4:16: `train.results_dir`: `${data}` is a mapping, needed a value that can be part of a text
      |
    4 |   results_dir: ${data}/x
      |                ^^^^^^^^^
    ");
}

#[test]
fn interpolations_of_a_value_that_is_missing() {
    assert_snapshot!(said("type: ???\nmodel_name: ${type}\n"), @"
    error: run.yaml:2:13: `model_name`: `${type}` names `type`, which has no value
      |
    2 | model_name: ${type}
      |             ^^^^^^^
    ");
}

#[test]
fn resolvers_that_are_not_supported() {
    assert_snapshot!(said("train:\n  seed: ${eval:'1 + 1'}\n  every: ${oc.decode:5}\n"), @"
    error: run.yaml:2:9: `train.seed`: found `${eval:..}`, needed `${key}`, `${oc.env:NAME,default}` or the value itself
      |
    2 |   seed: ${eval:'1 + 1'}
      |         ^^^^^^^^^^^^^^^

    error: run.yaml:3:10: `train.every`: found `${oc.decode:..}`, needed `${key}`, `${oc.env:NAME,default}` or the value itself
      |
    3 |   every: ${oc.decode:5}
      |          ^^^^^^^^^^^^^^
    ");
}

#[test]
fn variables_that_are_not_set() {
    assert_snapshot!(said("type: ${oc.env:NO_SUCH}/x\nmodel_name: ${oc.env:}\n"), @"
    error: run.yaml:1:7: `type`: the environment variable of `${oc.env:NO_SUCH}` is not set, and there is no default
      |
    1 | type: ${oc.env:NO_SUCH}/x
      |       ^^^^^^^^^^^^^^^^^^^

    error: run.yaml:2:13: `model_name`: found `${oc.env:}`, needed `${oc.env:NAME}`
      |
    2 | model_name: ${oc.env:}
      |             ^^^^^^^^^^
    ");
}

#[test]
fn interpolation_that_does_not_end() {
    assert_snapshot!(said("type: ${model_name\nmodel_name: ${a b}\n"), @"
    error: run.yaml:1:7: `type`: found `${model_name` without its `}`
      |
    1 | type: ${model_name
      |       ^^^^^^^^^^^^

    error: run.yaml:2:13: `model_name`: found `${a b}`, needed the name of a key: `${a.b}`
      |
    2 | model_name: ${a b}
      |             ^^^^^^
    ");
}

#[test]
fn long_lines_and_strange_characters() {
    let long = format!("train: {{seed: 1, results_dir: {}, num_epochs: x}}\n", "a".repeat(130));
    assert_snapshot!(said(&long), @"
    error: run.yaml:1:175: `train.num_epochs`: found `x`, needed an integer of at least 1
      |
    1 | …aaaaaaaaaaaaaaaaaaaaaaaaaa, num_epochs: x}
      |                                          ^
    ");
    assert_snapshot!(said("train:\n  seed: \"\\e[31mred\\e[0m\"\n"), @r#"
    error: run.yaml:2:9: `train.seed`: found `�[31mred�[0m`, needed an integer of at least -1
      |
    2 |   seed: "\e[31mred\e[0m"
      |         ^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(said("\"typ\\e\": 1\n"), @r#"
    error: run.yaml:1:1: `typ�`: unknown key
      |
    1 | "typ\e": 1
      | ^^^^^^^
      = hint: did you mean `type`?
    "#);
}

#[test]
fn mandatory_values_are_needed_where_they_are_used() {
    let yaml = "data:\n  datasets:\n  - caption_dir: /c\n  - image_dir: ''\n  - image_dir: ???\n  batch_size: ???\n";
    assert_snapshot!(checked(yaml, &[], &["data"]), @"
    error: run.yaml:3:5: `data.datasets[0].image_dir`: no value, needed a text
      |
    3 |   - caption_dir: /c
      |     ^^^^^^^^^^^^^^^

    error: run.yaml:4:5: `data.datasets[1].image_dir`: no value, needed a text
      |
    4 |   - image_dir: ''
      |     ^^^^^^^^^

    error: run.yaml:5:16: `data.datasets[2].image_dir`: no value, needed a text
      |
    5 |   - image_dir: ???
      |                ^^^

    error: run.yaml:6:15: `data.batch_size`: no value, needed an integer of at least 1
      |
    6 |   batch_size: ???
      |               ^^^
    ");
    assert_eq!(checked(yaml, &[], &["train"]), "");
}

#[test]
fn refused_values() {
    let yaml = "train:\n  triplet: 0.5\n";
    assert_snapshot!(checked(yaml, &[], &["train"]), @"
    error: run.yaml:2:12: `train.triplet`: found `0.5`, needed `0.0`: the triplet loss is not built yet
      |
    2 |   triplet: 0.5
      |            ^^^
      = hint: set it to 0
    ");
    assert_snapshot!(checked("", &["train.triplet=0.5"], &["train"]), @"
    error: override `train.triplet=0.5`: found `0.5`, needed `0.0`: the triplet loss is not built yet
      = hint: set it to 0
    ");
    assert_eq!(checked(yaml, &[], &["data"]), "");
    assert_eq!(checked("train:\n  triplet: 0\n", &[], &["train"]), "");
}

#[test]
fn notices() {
    let blocks = &["log", "encryption_key"];
    assert_snapshot!(checked("log:\n  project: x\nencryption_key: secret\n", &[], blocks), @"
    warning: run.yaml:1:1: `log`: nothing is uploaded
      |
    1 | log:
      | ^^^

    warning: run.yaml:3:17: `encryption_key`: nothing is encrypted
      |
    3 | encryption_key: secret
      |                 ^^^^^^
    ");
    assert_eq!(checked("log:\n  enable: off\n  project: x\nencryption_key: ''\n", &[], blocks), "");
    assert_eq!(checked("", &[], blocks), "");
}

#[test]
fn rules_between_keys() {
    let document =
        document("train:\n  num_epochs: 5\n  optim:\n    lr: 3\n", &["data.batch_size=3"]).unwrap();
    let mut checks = document.check();
    checks.error("train.num_epochs", 5, "at most 3").hint("set it to 3");
    checks.error("train.optim.clip", "no value", "a norm");
    checks.warn("data.batch_size", "odd");
    checks.refuse("model_name", "no network of that name");
    checks.require("train.results_dir", "a folder").require("train.optim", "a block");
    assert_snapshot!(checks.into_result().unwrap_err(), @"
    error: run.yaml:1:1: `train.results_dir`: not set, needed a folder
      |
    1 | train:
      | ^^^^^

    error: run.yaml:2:15: `train.num_epochs`: found 5, needed at most 3
      |
    2 |   num_epochs: 5
      |               ^
      = hint: set it to 3

    error: run.yaml:3:3: `train.optim.clip`: found no value, needed a norm
      |
    3 |   optim:
      |   ^^^^^

    warning: override `data.batch_size=3`: odd

    error: run.yaml: `model_name`: no network of that name
    ");
}
