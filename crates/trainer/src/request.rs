//! The words of the command line: a network, an action, overrides - or one that nobody knows.

use crate::{
    failure::Failed,
    networks::{Action, NETWORKS, NOT_YET, Network, network},
};

/// What the words ask for; what they leave open, the spec decides.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) doctor: bool,
    pub(crate) network: Option<&'static Network>,
    /// An action that at least one network has.
    pub(crate) action: Option<String>,
    /// `a.b=1`, `+a.b=1`, `~a.b` in the order of writing.
    pub(crate) overrides: Vec<String>,
}

impl Request {
    /// Overrides may stand anywhere; the first other words are the network and the action.
    pub(crate) fn from_words(words: &[String]) -> Result<Request, Failed> {
        let (overrides, names): (Vec<_>, Vec<_>) =
            words.iter().cloned().partition(|word| is_override(word));
        let mut request = Request { overrides, ..Request::default() };
        for name in names {
            request.take(&name)?;
        }
        Ok(request)
    }

    fn take(&mut self, name: &str) -> Result<(), Failed> {
        if self.doctor || self.action.is_some() {
            return Err(unexpected(name));
        }
        match self.network {
            None if name == "doctor" => self.doctor = true,
            None if let Some(found) = network(name) => self.network = Some(found),
            None if is_action(name) => self.action = Some(name.to_owned()),
            None => return Err(unknown(name)),
            Some(network) => self.action = Some(network.action(name)?.name.to_owned()),
        }
        Ok(())
    }
}

fn is_override(word: &str) -> bool {
    word.contains('=') || word.starts_with(['+', '~'])
}

fn is_action(name: &str) -> bool {
    NETWORKS.iter().any(|network| network.find(name).is_some())
}

impl Network {
    pub(crate) fn find(&self, name: &str) -> Option<&'static Action> {
        self.actions.iter().find(|action| action.name == name)
    }

    /// The action called `name`, or an error with the names that exist.
    pub(crate) fn action(&self, name: &str) -> Result<&'static Action, Failed> {
        if let Some(action) = self.find(name) {
            return Ok(action);
        }
        let known: Vec<_> = self.actions.iter().map(|action| action.name).collect();
        let network = self.name;
        if self.actions_not_yet.contains(&name) {
            let message = format!("`{network} {name}`: not in this release");
            return Err(Failed::usage(message, &[format!("it has {}", listed(&known))]));
        }
        let message = format!("`{name}`: `{network}` has no such action");
        Err(Failed::usage(message, &[suggestion(name, &known)]))
    }
}

fn unknown(name: &str) -> Failed {
    let networks = NETWORKS.iter().map(|network| network.name);
    if NOT_YET.contains(&name) {
        let networks: Vec<_> = networks.collect();
        let hint = format!("this release has {}", listed(&networks));
        return Failed::usage(format!("`{name}`: not in this release"), &[hint]);
    }
    let actions = NETWORKS.iter().flat_map(|network| network.actions).map(|action| action.name);
    let known: Vec<_> = networks.chain(actions).chain(["doctor"]).collect();
    Failed::usage(format!("`{name}`: no such network or action"), &[suggestion(name, &known)])
}

fn unexpected(name: &str) -> Failed {
    let hints = [
        "the order is `trainer [NETWORK] [ACTION] -e SPEC [key=value ...]`".to_owned(),
        format!("to set a key of the spec, give its value: `{name}=VALUE`"),
    ];
    Failed::usage(format!("`{name}`: one word too many"), &hints)
}

fn suggestion(name: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&name.to_lowercase(), known), known))
        .filter(|(distance, known)| *distance <= known.len() / 3 + 1)
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((_, nearest)) => format!("did you mean `{nearest}`?"),
        None => format!("there are {}", listed(known)),
    }
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `network action | overrides`, or the first line of the error and its hints.
    fn read(line: &str) -> String {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        match Request::from_words(&words) {
            Ok(request) => format!(
                "{} {} | {}",
                request.network.map_or("-", |network| network.name),
                request.action.as_deref().unwrap_or("-"),
                request.overrides.join(" ")
            ),
            Err(failed) => failed.report.replace("\n\n", "; ").replace('\n', "; "),
        }
    }

    #[test]
    fn words_are_sorted_out() {
        let cases = [
            ("", "- - | "),
            ("clip", "clip - | "),
            ("clip train", "clip train | "),
            ("mae evaluate", "mae evaluate | "),
            ("evaluate", "- evaluate | "),
            ("train.num_epochs=3", "- - | train.num_epochs=3"),
            ("a=1 clip ~b.c train +d.e=[1,2]", "clip train | a=1 ~b.c +d.e=[1,2]"),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn what_nobody_knows_gets_the_nearest_name() {
        let cases = [
            ("clp train", "error: `clp`: no such network or action; hint: did you mean `clip`?"),
            (
                "clip trian",
                "error: `trian`: `clip` has no such action; hint: did you mean `train`?",
            ),
            ("CLIP", "error: `CLIP`: no such network or action; hint: did you mean `clip`?"),
            ("doktor", "error: `doktor`: no such network or action; hint: did you mean `doctor`?"),
            (
                "oneformer train",
                "error: `oneformer`: not in this release; hint: this release has `clip`, `mae`",
            ),
            (
                "clip segment",
                "error: `segment`: `clip` has no such action; hint: there are `train`, `evaluate`, \
                 `inference`, `export`, `gen_trt_engine`, `default_specs`, `check`, `benchmark`",
            ),
            (
                "clip train train.num_epochs",
                "error: `train.num_epochs`: one word too many; hint: the order is `trainer \
                 [NETWORK] [ACTION] -e SPEC [key=value ...]`; hint: to set a key of the spec, give \
                 its value: `train.num_epochs=VALUE`",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
