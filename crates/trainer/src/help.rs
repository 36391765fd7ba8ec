//! `--help` of the program, of a network and of an action; the keys come from the spec's definition.

use clap::CommandFactory;
use hearth_spec::{Key, Kind, State};

use crate::{
    arguments::Arguments,
    networks::{Action, Does, NETWORKS, Network},
    request::Request,
};

/// Help on as much as the words name.
pub(crate) fn about(request: &Request) -> String {
    let action = request.action.as_deref();
    match request.network {
        None => about_program(),
        Some(network) => match action.and_then(|name| network.find(name)) {
            None => about_network(network),
            Some(action) => about_action(network, action),
        },
    }
}

fn about_program() -> String {
    let mut text = Arguments::command().render_help().to_string();
    text.push_str("\nNetworks:\n");
    for network in NETWORKS {
        text.push_str(&format!("  {:<14} {}\n", network.name, network.about));
    }
    text.push_str(
        "
Without NETWORK, `model_name` of the spec tells it, or the keys do; without ACTION it is train.
`trainer NETWORK --help` lists the actions, `trainer NETWORK ACTION --help` the keys they read.
`trainer doctor` shows what this machine offers and what this program makes of it.

Overrides:
  key=value      Sets a key of the spec: train.optim.vision_lr=1e-4
  +key=value     The same; TAO's spelling for a key that the file lacks
  ~key           Takes a key out of the file, so that its default counts

Exit codes:
  0 done  1 other  2 spec  3 data  4 weights  5 device or memory  6 diverged  130/143 stopped",
    );
    text
}

fn about_network(network: &Network) -> String {
    let Network { name, about, actions, .. } = network;
    let mut text =
        format!("{about}.\n\nUsage: trainer {name} [ACTION] -e SPEC [key=value ...]\n\nActions:\n");
    for action in *actions {
        text.push_str(&format!("  {:<14} {}\n", action.name, action.about));
    }
    text.push_str(&format!(
        "\nKeys of the spec: docs/specs/{name}.md, or `trainer {name} ACTION --help`"
    ));
    text
}

fn about_action(network: &Network, action: &Action) -> String {
    let Network { name, keys, .. } = network;
    let spec = match action.does {
        Does::DefaultSpecs => {
            return format!(
                "{}.\n\nUsage: trainer {name} {} [results_dir=DIR]",
                action.about, action.name
            );
        }
        Does::Work(_) | Does::DryWork(_) => "-e SPEC [key=value ...]",
        Does::Benchmark(_) => "-e SPEC [--steps N] [--json] [--tune] [key=value ...]",
    };
    let mut rows = Vec::new();
    for key in keys() {
        let is_block = key.kind.keys().is_some();
        if !is_block || action.blocks.contains(&key.name) {
            add_rows(key, "", &mut rows);
        }
    }
    let width = |column: fn(&Row) -> &String| {
        rows.iter().map(|row| column(row).len()).max().unwrap_or(0).min(48)
    };
    let (key_width, default_width) = (width(|row| &row.key), width(|row| &row.default));
    let mut text = format!(
        "{}.\n\nUsage: trainer {name} {} {spec}\n\n\
         Keys of the spec that this action reads, their defaults and meaning; ranges, options and \
         reasons are in docs/specs/{name}.md:\n",
        action.about, action.name
    );
    for Row { key, default, meaning } in &rows {
        let line = format!("\n  {key:<key_width$}  {default:<default_width$}  {meaning}");
        text.push_str(line.trim_end());
    }
    text
}

struct Row {
    key: String,
    default: String,
    meaning: String,
}

/// Keys that do nothing are left to the documentation.
fn add_rows(key: &Key, parent: &str, rows: &mut Vec<Row>) {
    if !matches!(key.state, State::Live | State::Notice { .. }) {
        return;
    }
    let path = format!("{parent}{}", key.name);
    match (key.kind.keys(), key.kind.inner()) {
        (Some(keys), kind) => {
            let parent = if matches!(kind, Kind::List(_)) {
                format!("{path}[].")
            } else {
                format!("{path}.")
            };
            keys.iter().for_each(|key| add_rows(key, &parent, rows));
        }
        (None, _) => rows.push(Row {
            key: path,
            default: key.default.to_string().replace('"', ""),
            meaning: first_sentence(&key.meaning()),
        }),
    }
}

/// Without its period; the documentation has the rest.
fn first_sentence(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let sentence = paragraph.split_once(". ").map_or(paragraph, |(first, _)| first);
    sentence.trim_end_matches('.').to_owned()
}
