//! From a request to the work itself: reads the spec, decides what it leaves open, makes the run.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hearth_engine::{Opened, Run, RunNames, StopFlag, Summary, atomic_file, open_device};
use hearth_spec::{Checks, Document};

use crate::{
    arguments::{Arguments, Level},
    bug,
    console::{self, Console},
    failure::Failed,
    networks::{Action, DEFAULT_ACTION, Does, NETWORKS, NOT_YET, Network, network},
    request::Request,
};

/// Does what `request` asks for, to the last line of `status.json`.
pub(crate) fn launch(
    request: &Request,
    arguments: &Arguments,
    console: &Arc<Console>,
) -> Result<(), Failed> {
    let document = read_spec(request, arguments)?;
    let (network, action) = decide(request, document.as_ref(), console)?;
    arguments.check_action(action.name, matches!(action.does, Does::Benchmark(_)))?;
    match (&action.does, document) {
        (Does::DefaultSpecs, document) => default_specs(network, request, document, console),
        (_, None) => Err(missing_spec(Some(network), action.name)),
        (Does::Work(work), Some(document)) => {
            let names = names(network, action, results_folder(&document, action.name)?);
            let device = opened(arguments, console)?.device;
            let run = Run::start(names, device, console::progress(console), watch_signals()?)?;
            perform(|| work(&document, &run), &run, console)
        }
        (Does::DryWork(work), Some(document)) => {
            let run = dry_run(network, action, arguments, console)?;
            perform(|| work(&document, &run), &run, console)
        }
        (Does::Benchmark(measure), Some(document)) => {
            let run = dry_run(network, action, arguments, console)?;
            perform(|| measure(&document, &run, &arguments.benchmark()), &run, console)
        }
    }
}

fn dry_run(
    network: &Network,
    action: &Action,
    arguments: &Arguments,
    console: &Arc<Console>,
) -> Result<Run, Failed> {
    let names = names(network, action, PathBuf::new());
    let device = opened(arguments, console)?.device;
    Ok(Run::dry(names, device, console::progress(console), watch_signals()?))
}

/// Where to compute; what `auto` found is told, unless it is what every machine has.
fn opened(arguments: &Arguments, console: &Console) -> Result<Opened, Failed> {
    let opened = open_device(&arguments.device)?;
    if let Some(model) = opened.model().filter(|_| arguments.device != opened.name) {
        console.line_at(Level::Info, &format!("computing on `{}`, {model}", opened.name));
    }
    Ok(opened)
}

/// The work between the first and the last line of `status.json`.
fn perform(
    work: impl FnOnce() -> Result<Summary, Failed>,
    run: &Run,
    console: &Console,
) -> Result<(), Failed> {
    let outcome = bug::guarded(work);
    run.progress.end();
    match outcome {
        Ok(result) => {
            run.finished();
            show(&result, console);
            Ok(())
        }
        Err(failed) => {
            run.failed(failed.class, &failed.reason);
            Err(failed)
        }
    }
}

/// What was done, and the commands that go on, as they work from here.
fn show(summary: &Summary, console: &Console) {
    if !summary.text.is_empty() {
        console.result(summary.text.trim_end());
    }
    if !summary.next.is_empty() {
        let program = std::env::args().next().unwrap_or_else(|| "trainer".to_owned());
        let next = summary.next.iter().map(|command| format!("  {program} {command}"));
        console.result(&format!("\nnext:\n{}", next.collect::<Vec<_>>().join("\n")));
    }
}

fn names(network: &Network, action: &Action, results: PathBuf) -> RunNames {
    RunNames { action: action.name.to_owned(), network: network.display.to_owned(), results }
}

fn watch_signals() -> Result<StopFlag, Failed> {
    StopFlag::on_signals().map_err(|err| {
        Failed::usage(format!("the signals of this process cannot be watched: {err}"), &[])
    })
}

fn read_spec(request: &Request, arguments: &Arguments) -> Result<Option<Document>, Failed> {
    let Some(path) = &arguments.spec else { return Ok(None) };
    if !path.exists() {
        let network = request.network.map_or("NETWORK", |network| network.name);
        let path = path.display();
        let message = format!("the indicated experiment spec file `{path}` doesn't exist");
        return Err(Failed::usage(message, &[start_from(network)]));
    }
    Ok(Some(Document::load(path, &request.overrides)?))
}

/// Network and action; what was not typed is told.
fn decide(
    request: &Request,
    document: Option<&Document>,
    console: &Console,
) -> Result<(&'static Network, &'static Action), Failed> {
    let action = request.action.as_deref().unwrap_or(DEFAULT_ACTION);
    let mut how = Vec::new();
    let network = match (request.network, document) {
        (Some(network), _) => network,
        (None, Some(document)) => {
            let (network, by) = recognise(document)?;
            how.push(format!("the network by {by}"));
            network
        }
        (None, None) => return Err(missing_spec(None, action)),
    };
    if request.action.is_none() {
        how.push("the action by default".to_owned());
    }
    if !how.is_empty() {
        let chosen = format!("{} {action}: {}", network.name, how.join(", "));
        console.line_at(Level::Info, &chosen);
    }
    Ok((network, network.action(action)?))
}

/// The network of a spec, and how it was told.
fn recognise(document: &Document) -> Result<(&'static Network, String), Failed> {
    let named = document.text("model_name").filter(|name| !name.is_empty());
    if let Some(network) = named.as_deref().and_then(network) {
        return Ok((network, format!("`model_name` of {}", document.name())));
    }
    let by_key = |network: &&Network| {
        network.recognised_by.iter().copied().find(|key| document.is_written(key))
    };
    let mut matching = NETWORKS.iter().filter_map(|network| Some((network, by_key(&network)?)));
    match (matching.next(), matching.next()) {
        (Some((network, key)), None) => {
            Ok((network, format!("the key `{key}` of {}", document.name())))
        }
        _ => Err(unrecognised(document, named.as_deref())),
    }
}

fn unrecognised(document: &Document, named: Option<&str>) -> Failed {
    let mut checks = document.check();
    match named {
        Some(name) if NOT_YET.contains(&name) => {
            checks.refuse("model_name", format!("found `{name}`, which is not in this release"))
        }
        Some(name) => checks
            .refuse("model_name", format!("found `{name}`, which is no network of this release")),
        None => checks.refuse("model_name", "not set, and no key tells which network this is"),
    };
    for network in NETWORKS {
        checks.hint(format!("name the network in the command: `trainer {} ...`", network.name));
    }
    refused(checks)
}

/// Of checks that hold at least one error.
fn refused(checks: Checks<'_>) -> Failed {
    checks.into_result().err().unwrap_or_default().into()
}

/// TAO's words, with what to type instead.
fn missing_spec(network: Option<&Network>, action: &str) -> Failed {
    let message = format!(
        "the subtask `{action}` requires the following argument: -e/--experiment_spec_file"
    );
    let network = network.map_or("NETWORK", |network| network.name);
    let hints =
        [format!("the command is `trainer {network} {action} -e SPEC.yaml`"), start_from(network)];
    Failed::usage(message, &hints)
}

fn start_from(network: &str) -> String {
    format!("`trainer {network} default_specs results_dir=DIR` writes a spec to start from")
}

/// `<action>.results_dir` as it is, else a folder with the name of the action below `results_dir`.
fn results_folder(document: &Document, action: &str) -> Result<PathBuf, Failed> {
    let own = format!("{action}.results_dir");
    if let Some(folder) = set(document, &own) {
        return Ok(PathBuf::from(folder));
    }
    if let Some(folder) = set(document, "results_dir") {
        return Ok(Path::new(&folder).join(action));
    }
    let mut checks = document.check();
    checks
        .refuse(
            "results_dir",
            format!("you need to set at least one of following fields: `results_dir`, `{own}`"),
        )
        .hint("add `results_dir=DIR` to the command");
    Err(refused(checks))
}

/// An empty text means "not set" in TAO's templates.
fn set(document: &Document, key: &str) -> Option<String> {
    document.text(key).filter(|text| !text.is_empty() && text != "???")
}

fn default_specs(
    network: &Network,
    request: &Request,
    document: Option<Document>,
    console: &Console,
) -> Result<(), Failed> {
    let document = match document {
        Some(document) => document,
        None if let Some(other) = request.overrides.iter().find(|one| !sets_results_dir(one)) => {
            let message = format!("`{other}`: `default_specs` writes the defaults as they are");
            let hint = "the folder for them is `results_dir=DIR`".to_owned();
            return Err(Failed::usage(message, &[hint]));
        }
        None => Document::parse("command line", "", &request.overrides, &|name| {
            std::env::var(name).ok()
        })?,
    };
    let text = (network.default_specs)();
    let Some(folder) = set(&document, "results_dir") else {
        console.result(text.trim_end());
        return Ok(());
    };
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder)
        .map_err(|err| Failed::file("create this folder", &folder, err))?;
    let path = folder.join("experiment.yaml");
    if path.exists() {
        console.line_at(Level::Warning, &format!("warning: {}: overwritten", path.display()));
    }
    atomic_file::write(&path, text.as_bytes())?;
    console.line_at(Level::Info, &format!("default spec written to {}", path.display()));
    Ok(())
}

fn sets_results_dir(word: &str) -> bool {
    word.trim_start_matches('+').starts_with("results_dir=")
}
