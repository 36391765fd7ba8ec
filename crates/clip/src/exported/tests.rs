//! Engines up to the library that runs them: which files a name means, what their cards say, and, with
//! ONNX Runtime in the place of TensorRT, what comes out. Without ONNX Runtime the last part says so
//! and passes, unless `HEARTH_REQUIRE` names `ort`.

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use hearth_data::random::Key;
use hearth_deploy::{
    DeployError, EngineRunner, Named, OnnxRuntime, OnnxSession, Options, Port,
    onnx::{self, ModelProto},
    trt::{Batches, EngineCard, Plan, Product, Profile, Source},
};
use hearth_engine::Run;
use hearth_spec::Document;
use tempfile::TempDir;

use super::{Exported, Format, Runner, lookup};
use crate::{
    embedder::Embedder,
    error::ClipError,
    export::{TowerGraph, Towers},
    pictures::Pictures,
    recipe,
    setup::Setup,
    spec::{Action, ClipSpec},
};

/// A folder with files of these names, empty.
fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match name.ends_with('/') {
            true => fs::create_dir_all(path).unwrap(),
            false => fs::write(path, "").unwrap(),
        }
    }
    folder
}

fn run(folder: &Path) -> Run {
    Run::silent("evaluate", &folder.join("run"), Device::flex()).unwrap()
}

#[test]
fn engines_are_looked_up_as_in_tao() {
    let cases: &[(&[&str], &str, &[&str])] = &[
        // A file: alone, or with its partner.
        (&["d/a.engine"], "d/a.engine", &["a.engine"]),
        (&["d/a.plan", "d/a_text.plan"], "d/a.plan", &["a.plan"]),
        (
            &["d/a_vision.engine", "d/a_text.engine"],
            "d/a_text.engine",
            &["a_vision.engine", "a_text.engine"],
        ),
        (&["d/a_vision.engine", "d/b_text.engine"], "d/a_vision.engine", &["a_vision.engine"]),
        // A name that does not exist: both towers, whatever its ending.
        (
            &["d/a_vision.engine", "d/a_text.engine"],
            "d/a.engine",
            &["a_vision.engine", "a_text.engine"],
        ),
        (&["d/a_vision.engine", "d/a_text.engine"], "d/a", &["a_vision.engine", "a_text.engine"]),
        (&["d/a.engine"], "d/a", &["a.engine"]),
        (&["d/a_text.plan"], "d/a.plan", &["a_text.plan"]),
        // A folder: a pair, else a whole model, else one tower.
        (
            &["d/a.engine", "d/b_vision.engine", "d/b_text.engine"],
            "d",
            &["b_vision.engine", "b_text.engine"],
        ),
        (&["d/a.engine", "d/b_vision.engine", "d/a.onnx"], "d", &["a.engine"]),
        (&["d/b_vision.engine", "d/c_text.engine"], "d", &["b_vision.engine"]),
        (&["d/c_text.engine", "d/c_tokenizer/"], "d", &["c_text.engine"]),
        (&["d/a.engine", "d/b.engine"], "d", &["a.engine"]),
    ];
    for (files, named, expected) in cases {
        let folder = folder(files);
        let run = run(folder.path());
        let found = Exported::engines(&folder.path().join(named), 1, &run).unwrap();
        let names: Vec<_> = found.files.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, *expected, "{named} among {files:?}");
        assert_eq!(found.format, Format::Engine { gpu: 1 });
    }
}

#[test]
fn where_engines_were_looked_for_is_said() {
    let folder = folder(&["d/a.onnx"]);
    let message = |named: &str| {
        let error =
            Exported::engines(&folder.path().join(named), 0, &run(folder.path())).unwrap_err();
        error.to_string().replace(&folder.path().display().to_string(), "")
    };
    assert_eq!(message("d"), "/d: no engine is there, looked for /d/*.engine");
    assert_eq!(
        message("d/x"),
        "/d/x: no engine is there, looked for /d/x.engine, /d/x_vision.engine, /d/x_text.engine"
    );
    assert_eq!(
        message("d/x.plan"),
        "/d/x.plan: no engine is there, looked for /d/x.plan, /d/x_vision.plan, /d/x_text.plan"
    );
}

#[test]
fn tokenizers_are_looked_for_as_in_tao() {
    let folder = folder(&[
        "r/deploy/a_vision.engine",
        "r/deploy/z_tokenizer/",
        "r/deploy/b_tokenizer/",
        "r/export/m_tokenizer/",
        "r/n_tokenizer/",
        "r/deploy/file_tokenizer",
    ]);
    let found = lookup::tokenizer_folders(&folder.path().join("r/deploy/a_vision.engine"));
    let root = folder.path().join("r/deploy");
    let found: Vec<_> = found.iter().map(|path| path.strip_prefix(&root).unwrap()).collect();
    let expected = [
        "a_tokenizer",
        "b_tokenizer",
        "z_tokenizer",
        "../export/a_tokenizer",
        "../export/m_tokenizer",
        "../a_tokenizer",
        "../n_tokenizer",
    ];
    assert_eq!(found, expected.map(Path::new));
}

/// A drawn model with its graphs, and engines in name only.
struct Model {
    _root: TempDir,
    folder: PathBuf,
    setup: Setup,
    embedder: Embedder,
}

fn spec(overrides: &[String]) -> (Document, ClipSpec) {
    let tokenizer =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/tokenizer/tokenizer.json");
    let text = format!(
        "model_name: clip\nresults_dir: r\nmodel: {{type: hearth-tiny}}\nhearth: {{model: {{tokenizer: {}}}}}\n",
        tokenizer.display()
    );
    let document = Document::parse("spec.yaml", &text, overrides, &|_| None).unwrap();
    let spec = document.read().unwrap();
    (document, spec)
}

fn model() -> Model {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("deploy");
    let (document, spec) = spec(&[]);
    let setup = Setup::new(&document, &spec, None, &run(&folder)).unwrap();
    let device = Device::flex();
    let (clip, _) = setup.model(&Key::new(3), &device).unwrap();
    let options = Options {
        metadata: recipe::onnx_metadata(&setup.recipe, &setup.tokenizer),
        ..Options::default()
    };
    for (towers, name) in
        [(Towers::Both, "m"), (Towers::Vision, "p_vision"), (Towers::Text, "p_text")]
    {
        let network = TowerGraph::new(&setup.config(), towers).unwrap();
        let written = hearth_deploy::export(&network, &clip, &options).unwrap();
        let path = folder.join(format!("{name}.onnx"));
        onnx::write(&written, &path).unwrap();
        engine(&folder, name, &written);
    }
    for base in ["m", "p"] {
        let beside = folder.join(format!("{base}_tokenizer"));
        fs::create_dir_all(&beside).unwrap();
        fs::write(beside.join("tokenizer.json"), setup.tokenizer.to_json()).unwrap();
    }
    let embedder = Embedder::towers(&clip, &device);
    Model { _root: root, folder, setup, embedder }
}

/// Four bytes, and the card that a builder would write, for two or three samples.
fn engine(folder: &Path, name: &str, graph: &ModelProto) {
    let path = folder.join(format!("{name}.engine"));
    fs::write(&path, "plan").unwrap();
    let metadata = graph.metadata_props.iter();
    let card = EngineCard {
        product: Product::Standard,
        version: "11.4.0".to_owned(),
        compute_capability: Some("9.0".to_owned()),
        precision: "fp32".to_owned(),
        profile: Profile::new(graph, Batches { min: 2, opt: 2, max: 3 }).unwrap().inputs,
        plan: Plan::of(&path).unwrap(),
        onnx: Source::of(&path.with_extension("onnx")).unwrap(),
        metadata: metadata.map(|entry| (entry.key.clone(), entry.value.clone())).collect(),
    };
    card.write(&path).unwrap();
}

impl Model {
    fn setup(&self, engine: &str) -> Result<Setup, ClipError> {
        let path = self.folder.join(engine);
        let overrides = [
            format!("evaluate.trt_engine={}", path.display()),
            "hearth.model.tokenizer=null".into(),
        ];
        let (document, spec) = spec(&overrides);
        Setup::of_action(&document, &spec, Action::Evaluate, &run(&self.folder))
    }

    /// What is said about an engine that cannot be used.
    fn refused(&self, engine: &str) -> String {
        let error = self.setup(engine).map(|_| ()).unwrap_err();
        error.to_string().replace(&format!("{}/", self.folder.display()), "")
    }

    fn change_card(&self, engine: &str, change: impl FnOnce(&mut EngineCard)) {
        let path = self.folder.join(engine);
        let mut card = EngineCard::of(&path).unwrap();
        change(&mut card);
        card.write(&path).unwrap();
    }
}

#[test]
fn recipe_and_tokenizer_come_with_the_engine() {
    let model = model();
    for name in ["m.engine", "p.engine", "p_text.engine"] {
        let setup = model.setup(name).unwrap();
        assert_eq!(setup.recipe, model.setup.recipe, "{name}");
        assert_eq!(setup.tokenizer.digest(), model.setup.tokenizer.digest());
    }
    // The right one is known, whatever its name and whatever lies beside it.
    let at = |name: &str| model.folder.join(name);
    fs::remove_dir_all(at("p_tokenizer")).unwrap();
    fs::rename(at("m_tokenizer"), at("renamed_tokenizer")).unwrap();
    fs::create_dir(at("broken_tokenizer")).unwrap();
    fs::write(at("broken_tokenizer/tokenizer.json"), "{}").unwrap();
    assert!(model.setup("m.engine").is_ok());
    fs::create_dir(at("../export")).unwrap();
    fs::rename(at("renamed_tokenizer"), at("../export/m_tokenizer")).unwrap();
    assert!(model.setup("m.engine").is_ok());
    fs::remove_dir_all(at("../export")).unwrap();
    fs::remove_dir_all(at("broken_tokenizer")).unwrap();
    let expected = "m.engine: this model cannot be used: \
                    its tokenizer is not at m_tokenizer, ../export/m_tokenizer, ../m_tokenizer";
    assert_eq!(model.refused("m.engine"), expected);
}

#[test]
fn cards_that_do_not_fit_are_told_apart() {
    let model = model();
    let path = |name: &str| model.folder.join(name);
    let length = model.setup.recipe.text.context_length;
    model.change_card("m.engine", |card| {
        card.profile.iter_mut().for_each(|input| {
            for shape in [&mut input.min, &mut input.opt, &mut input.max] {
                *shape.last_mut().unwrap() = 77;
            }
        });
    });
    let size = model.setup.recipe.picture.size;
    let expected = format!(
        "m.engine: this model cannot be used: input `image` takes [3, {size}, 77] of a sample, its recipe makes [3, {size}, {size}]"
    );
    assert_eq!(model.refused("m.engine"), expected);
    model.change_card("m.engine", |card| drop(card.profile.remove(0)));
    let expected = format!(
        "m.engine: this model cannot be used: input `input_ids` takes [77] of a sample, its recipe makes [{length}]"
    );
    assert_eq!(model.refused("m.engine"), expected);

    model.change_card("p_text.engine", |card| {
        card.metadata.insert("hearth.tokenizer.sha256".to_owned(), "of another".to_owned());
    });
    let expected = "p_vision.engine: this model cannot be used: p_text.engine is of another model";
    assert_eq!(model.refused("p.engine"), expected);
    fs::remove_file(path("p_vision.engine")).unwrap();
    assert!(
        model
            .refused("p.engine")
            .contains("p_tokenizer, m_tokenizer are tokenizers of other models")
    );
    model.change_card("p_text.engine", |card| card.metadata.clear());
    let expected =
        "p_text.engine: this model cannot be used: `hearth.recipe` is not in its metadata";
    assert_eq!(model.refused("p.engine"), expected);
    model.change_card("p_text.engine", |card| card.profile[0].min[0] = 9);
    let expected = "p_text.engine.json: not the description of an engine: the shapes of `input_ids` are not in order";
    assert_eq!(model.refused("p.engine"), expected);
    fs::remove_file(path("p_text.engine.json")).unwrap();
    let expected = "p_text.engine: its description `p_text.engine.json` is not beside it";
    assert_eq!(model.refused("p.engine"), expected);
}

/// An engine that is ONNX Runtime in truth, for as many samples as the engine takes.
struct InPlace {
    session: OnnxSession,
    path: PathBuf,
    batches: RangeInclusive<usize>,
}

impl EngineRunner for InPlace {
    fn path(&self) -> &Path {
        &self.path
    }

    fn inputs(&self) -> &[Port] {
        self.session.inputs()
    }

    fn outputs(&self) -> &[String] {
        self.session.outputs()
    }

    fn batches(&self) -> RangeInclusive<usize> {
        self.batches.clone()
    }

    fn run_checked(&mut self, inputs: &[Named]) -> Result<Vec<Named>, DeployError> {
        self.session.run_checked(inputs)
    }
}

fn in_place(setup: &Setup, runtime: &OnnxRuntime) -> Embedder {
    let files = &setup.exported.as_ref().unwrap().files;
    let runners = files.iter().map(|path| -> Runner {
        let session = runtime.open(&path.with_extension("onnx")).unwrap();
        Box::new(InPlace { session, path: path.clone(), batches: 2..=3 })
    });
    Embedder::exported(setup, runners.collect())
}

#[test]
fn engines_embed_as_the_towers_do() {
    let runtime = match OnnxRuntime::find() {
        Ok(runtime) => runtime,
        Err(error) => {
            let required = std::env::var("HEARTH_REQUIRE").is_ok_and(|list| list.contains("ort"));
            assert!(!required, "HEARTH_REQUIRE asks for ort: {error}");
            println!("skipped: {error}");
            return;
        }
    };
    let model = model();
    let (size, length) =
        (model.setup.recipe.picture.size as usize, model.setup.recipe.text.context_length);
    // One more than fits, and one that is left over.
    let count = 4;
    let mut random = Key::new(5).rng();
    let pixels = (0..count * 3 * size * size).map(|_| random.normal() as f32).collect();
    let pictures = Pictures { pixels, ..Pictures::default() };
    let captions = ["a red circle", "two dogs", "night", "a blue square on white"];
    let ids = captions.map(|caption| model.setup.tokenizer.encode(caption).unwrap()).concat();
    let pairs = |embedder: &Embedder| embedder.pairs((&pictures, size), (&ids, length)).unwrap();
    let expected = pairs(&model.embedder);
    let scale = model.embedder.calibration().unwrap().scale;
    for name in ["m.engine", "p.engine"] {
        let embedder = in_place(&model.setup(name).unwrap(), &runtime);
        let found = pairs(&embedder);
        assert_eq!(found.width, expected.width, "{name}");
        for (found, expected) in [(found.images, &expected.images), (found.texts, &expected.texts)]
        {
            assert_eq!(found.len(), expected.len(), "{name}");
            let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f32::max) < 1e-4, "{name}");
        }
        assert!((embedder.calibration().unwrap().scale - scale).abs() < 1e-3 * scale, "{name}");
    }
    let run = run(&model.folder);
    let embedder = in_place(&model.setup("m.engine").unwrap(), &runtime);
    assert_eq!(embedder.replicas(16, &run).unwrap().count(), 1);
    let told = fs::read_to_string(run.results.join("status.json")).unwrap();
    assert!(told.contains("takes 3 samples at a time, batches of 16 are cut into parts"), "{told}");

    // Pictures alone need no engine for texts.
    fs::remove_file(model.folder.join("p_text.engine")).unwrap();
    let embedder = in_place(&model.setup("p_vision.engine").unwrap(), &runtime);
    assert_eq!(embedder.images(&pictures, size).unwrap().len(), expected.images.len());
    let error = embedder.texts(&ids, length).unwrap_err();
    assert!(error.to_string().ends_with("p_vision.engine: holds no text tower"), "{error}");
}
