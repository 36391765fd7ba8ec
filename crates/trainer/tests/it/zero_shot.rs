//! `clip evaluate` with class folders: metrics, files, and what is said about folders that are wrong.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{session::run, shapes::root};

const SHAPES: [&str; 6] = ["circle", "cross", "moon", "square", "star", "triangle"];

/// Pictures of the shapes in one folder each, and a spec that classifies them with random weights.
fn workspace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let shapes = root().join("assets/shapes/val");
    for i in 0..60 {
        let caption = fs::read_to_string(shapes.join(format!("captions/{i:04}.txt"))).unwrap();
        let shape = SHAPES.iter().find(|shape| caption.contains(*shape)).unwrap();
        let class = folder.path().join("classes").join(shape);
        fs::create_dir_all(&class).unwrap();
        let name = format!("{i:04}.png");
        fs::copy(shapes.join("images").join(&name), class.join(&name)).unwrap();
    }
    let tokenizer = root().join("assets/tokenizer/tokenizer.json");
    let spec = format!(
        "\
results_dir: out
model: {{type: hearth-tiny}}
hearth:
  model: {{tokenizer: {}}}
  evaluate:
    zero_shot:
      image_dir: classes
      templates: ['a {{}}', 'a small red {{}} on a white background']
      num_workers: 1
",
        tokenizer.display()
    );
    fs::write(folder.path().join("spec.yaml"), spec).unwrap();
    folder
}

/// Standard output and standard error of a good evaluation.
fn evaluated(folder: &Path, overrides: &[&str]) -> (String, String) {
    let output = run(folder, &[&["clip", "evaluate", "-e", "spec.yaml"], overrides].concat());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

/// Fields of a table without quotes, header included.
fn table(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn number(field: &str) -> f64 {
    field.parse().unwrap_or_else(|_| panic!("`{field}`"))
}

/// Last value of the metrics in `status.json`.
fn kpi(results: &Path) -> BTreeMap<String, f64> {
    let status = fs::read_to_string(results.join("status.json")).unwrap();
    let last: Value = serde_json::from_str(status.lines().last().unwrap()).unwrap();
    assert_eq!(last["message"], "Evaluate finished successfully.");
    let kpi = last["kpi"].as_object().unwrap().iter();
    kpi.map(|(name, value)| (name.clone(), number(value.as_str().unwrap()))).collect()
}

#[test]
fn all_files_tell_the_same() {
    let folder = workspace();
    let (stdout, _) = evaluated(folder.path(), &["hearth.evaluate.zero_shot.scores=true"]);
    let results = folder.path().join("out/evaluate");

    // The scores of every picture give everything else.
    let scores = table(&results.join("zero_shot_scores.csv"));
    assert_eq!(scores[0], [&["picture", "class"][..], &SHAPES].concat());
    assert_eq!(scores.len(), 61);
    let class_of = |name: &str| SHAPES.iter().position(|shape| *shape == name).unwrap();
    let (mut counts, mut top5) = (vec![vec![0u64; 6]; 6], 0);
    for row in &scores[1..] {
        let truth = class_of(&row[1]);
        assert!(row[0].starts_with(&format!("classes/{}/", row[1])), "{row:?}");
        let scores: Vec<f64> = row[2..].iter().map(|score| number(score)).collect();
        let better = scores.iter().filter(|score| **score > scores[truth]).count();
        top5 += u64::from(better < 5);
        let best = (0..6).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
        counts[truth][best] += 1;
    }
    let right: u64 = (0..6).map(|class| counts[class][class]).sum();
    let of_class: Vec<u64> = counts.iter().map(|row| row.iter().sum()).collect();
    let mean = (0..6).map(|c| counts[c][c] as f64 / of_class[c] as f64).sum::<f64>() / 6.0;
    let expected = [
        ("zero_shot_top1", right as f64 / 60.0),
        ("zero_shot_top5", top5 as f64 / 60.0),
        ("zero_shot_mean_per_class", mean),
    ];

    let confusion = table(&results.join("zero_shot_confusion.csv"));
    for (class, row) in confusion[1..].iter().enumerate() {
        let found: Vec<u64> = row[1..].iter().map(|count| count.parse().unwrap()).collect();
        assert_eq!((row[0].as_str(), found), (SHAPES[class], counts[class].clone()));
    }
    let per_class = table(&results.join("zero_shot_per_class.csv"));
    assert_eq!(per_class.len(), 7);
    for (class, row) in per_class[1..].iter().enumerate() {
        let share = counts[class][class] as f64 / of_class[class] as f64;
        assert_eq!(
            row[..4],
            [SHAPES[class], SHAPES[class], &of_class[class].to_string(), &format!("{share:.4}")]
        );
    }
    let kpi = kpi(&results);
    let json: Value =
        serde_json::from_str(&fs::read_to_string(results.join("results.json")).unwrap()).unwrap();
    assert_eq!((&json["zero_shot_images"], &json["zero_shot_classes"]), (&60.into(), &6.into()));
    assert!(json.get("num_images").is_none());
    for (name, value) in expected {
        assert!((kpi[&format!("test/{name}")] - value).abs() < 1e-12, "{name}: {kpi:?}");
        assert!((json[name].as_f64().unwrap() - value).abs() < 1e-12, "{name}: {json}");
        assert!(stdout.contains(&format!("{value:.4}")), "{name} in {stdout}");
    }
    let svg = fs::read_to_string(results.join("zero_shot_confusion.svg")).unwrap();
    let drawn = counts.iter().flatten().filter(|count| **count > 0).count();
    assert_eq!(svg.matches("</title></rect>").count(), drawn);
    let mut files: Vec<_> =
        fs::read_dir(&results).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    let expected = [
        "experiment.yaml",
        "lightning_logs",
        "results.json",
        "status.json",
        "zero_shot_confusion.csv",
        "zero_shot_confusion.svg",
        "zero_shot_per_class.csv",
        "zero_shot_scores.csv",
    ];
    assert_eq!(files, expected);
}

#[test]
fn batches_and_threads_change_nothing_and_retrieval_stands_beside_it() {
    let folder = workspace();
    let read = |results: &str| {
        let folder = folder.path().join(results).join("evaluate");
        ["confusion.csv", "per_class.csv", "confusion.svg"]
            .map(|name| fs::read_to_string(folder.join(format!("zero_shot_{name}"))).unwrap())
    };
    evaluated(folder.path(), &[]);
    let shapes = root().join("assets/shapes/val");
    let pairs = format!(
        "dataset.val.datasets=[{{image_dir: {0}/images, caption_dir: {0}/captions}}]",
        shapes.display()
    );
    let (stdout, _) = evaluated(
        folder.path(),
        &[
            "results_dir=other",
            "hearth.evaluate.zero_shot.num_workers=3",
            "hearth.evaluate.zero_shot.batch_size=7",
            &pairs,
        ],
    );
    assert_eq!(read("out"), read("other"));
    assert!(stdout.contains("image to text") && stdout.contains("mean per class"), "{stdout}");
    let kpi = kpi(&folder.path().join("other/evaluate"));
    assert!(kpi.contains_key("test/t2i_mAP") && kpi.contains_key("test/zero_shot_top1"), "{kpi:?}");
}

#[test]
fn a_list_and_names_take_the_place_of_folders() {
    let folder = workspace();
    let mut list = String::new();
    for (code, shape) in SHAPES.iter().enumerate() {
        let mut pictures: Vec<PathBuf> = fs::read_dir(folder.path().join("classes").join(shape))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        pictures.sort();
        for picture in pictures {
            let name = picture.file_name().unwrap().to_str().unwrap();
            list.push_str(&format!("{shape}/{name}\t{code}\n"));
        }
    }
    fs::write(folder.path().join("list.tsv"), list).unwrap();
    fs::write(folder.path().join("names.txt"), SHAPES.join("\n")).unwrap();
    evaluated(folder.path(), &[]);
    evaluated(
        folder.path(),
        &[
            "results_dir=listed",
            "hearth.evaluate.zero_shot.image_list_file=list.tsv",
            "hearth.evaluate.zero_shot.class_names=names.txt",
        ],
    );
    let confusion = |results: &str| {
        let path = folder.path().join(results).join("evaluate/zero_shot_confusion.csv");
        fs::read_to_string(path).unwrap()
    };
    assert_eq!(confusion("out"), confusion("listed"));
}

#[test]
fn wrong_folders_and_broken_pictures_are_data_errors() {
    let folder = workspace();
    let refused = |overrides: &[&str]| {
        let arguments = [&["clip", "evaluate", "-e", "spec.yaml"], overrides].concat();
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(3));
        String::from_utf8(output.stderr).unwrap()
    };
    let inner = folder.path().join("data/val");
    fs::create_dir_all(inner.parent().unwrap()).unwrap();
    fs::rename(folder.path().join("classes"), &inner).unwrap();
    let stderr = refused(&["hearth.evaluate.zero_shot.image_dir=data"]);
    assert!(
        stderr.contains("hint: the folder is one level too high: set `image_dir: data/val`"),
        "{stderr}"
    );

    fs::write(inner.join("star/broken.png"), b"\x89PNG\r\n\x1a\nnothing").unwrap();
    let stderr = refused(&["hearth.evaluate.zero_shot.image_dir=data/val"]);
    assert!(stderr.contains("data/val/star/broken.png"), "{stderr}");
    assert!(!folder.path().join("out/evaluate/results.json").exists());
}
