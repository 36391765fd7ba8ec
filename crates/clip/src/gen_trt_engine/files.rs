//! Which engines are built from which graphs, and what lies beside them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hearth_deploy::DeployError;
use hearth_engine::{FileError, atomic_file};

use crate::{error::ClipError, export, spec::ClipSpec};

/// Graphs and their engines: one, or one for each tower where the graph that is named stands for two.
pub(super) fn of(spec: &ClipSpec) -> Result<Vec<(PathBuf, PathBuf)>, ClipError> {
    let block = &spec.gen_trt_engine;
    let graph = PathBuf::from(&block.onnx_file);
    let engine = PathBuf::from(block.trt_engine.as_deref().unwrap_or_default());
    if let Some(folder) = engine.parent().filter(|folder| *folder != Path::new("")) {
        fs::create_dir_all(folder).map_err(FileError::at("create this folder", folder))?;
    }
    if graph.exists() {
        return Ok(vec![(graph, engine)]);
    }
    let of_tower = |path: &Path, tower: &str| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let end =
            path.extension().map_or(String::new(), |end| format!(".{}", end.to_string_lossy()));
        path.with_file_name(format!("{stem}{tower}{end}"))
    };
    let towers = [export::VISION, export::TEXT]
        .map(|tower| (of_tower(&graph, tower), of_tower(&engine, tower)));
    let found: Vec<_> = towers.into_iter().filter(|(graph, _)| graph.exists()).collect();
    match found.is_empty() {
        true => Err(DeployError::Missing { path: graph }.into()),
        false => Ok(found),
    }
}

/// The stem of a file without the tower that it holds.
fn base_stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let base = [export::VISION, export::TEXT].iter().find_map(|tower| stem.strip_suffix(tower));
    base.unwrap_or(&stem).to_owned()
}

/// Copies configuration and tokenizer from beside the graph to beside the engine, unless they are
/// there.
pub(super) fn copy_sides(graph: &Path, engine: &Path) -> Result<(), ClipError> {
    let [from, to] = [graph, engine].map(base_stem);
    let beside = |path: &Path, stem: &str, end: &str| path.with_file_name(format!("{stem}{end}"));
    let (config, target) =
        (beside(graph, &from, "_config.yaml"), beside(engine, &to, "_config.yaml"));
    if config.is_file() && !target.exists() {
        let text = fs::read(&config).map_err(FileError::at("read this file", &config))?;
        atomic_file::write(&target, &text)?;
    }
    let (folder, target) = (beside(graph, &from, "_tokenizer"), beside(engine, &to, "_tokenizer"));
    if !folder.is_dir() || target.exists() {
        return Ok(());
    }
    fs::create_dir_all(&target).map_err(FileError::at("create this folder", &target))?;
    let entries = fs::read_dir(&folder).map_err(FileError::at("read this folder", &folder))?;
    for entry in entries {
        let entry = entry.map_err(FileError::at("read this folder", &folder))?;
        if entry.path().is_file() {
            let bytes =
                fs::read(entry.path()).map_err(FileError::at("read this file", &entry.path()))?;
            atomic_file::write(&target.join(entry.file_name()), &bytes)?;
        }
    }
    Ok(())
}
