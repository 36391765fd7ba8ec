//! Guesses what was meant: the nearest word, the nearest key, and the place where a known key belongs.

use strsim::damerau_levenshtein;

use crate::{
    key::{Key, either},
    tree::KeyPath,
};

/// Longer words than any key are not worth comparing.
const LONGEST: usize = 64;

/// The word nearest to `text`, when it is near enough to be meant.
pub(crate) fn nearest_word<'a>(
    text: &str,
    words: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    if text.len() > LONGEST {
        return None;
    }
    let lower = text.to_lowercase();
    let allowed = (text.chars().count() / 3).max(1);
    words
        .map(|word| (damerau_levenshtein(&lower, &word.to_lowercase()), word))
        .filter(|&(distance, word)| distance <= allowed && distance < word.len())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, word)| word)
}

/// What to do about a key that its block, whose keys are `siblings`, does not know.
pub(crate) fn unknown_key_hint(
    root: &[Key],
    parent: &KeyPath,
    siblings: &[Key],
    name: &str,
) -> Option<String> {
    let all = all_keys(root);
    if let Some(places) = spelled_out(&all, parent, name) {
        return Some(places);
    }
    let same = |key: &&Key| key.known_as.contains(&name) || squeezed(key.name) == squeezed(name);
    let called: Vec<String> =
        siblings.iter().filter(same).map(|key| parent.join(key.name).to_string()).collect();
    if !called.is_empty() {
        return Some(format!("did you mean {}?", either(&called)));
    }
    if let Some(places) = places_of(&all, parent, |key| key.name == name) {
        return Some(format!("it belongs elsewhere: {places}"));
    }
    if let Some(places) = places_of(&all, parent, |key| key.known_as.contains(&name)) {
        return Some(format!("did you mean {places}?"));
    }
    if let Some(word) = nearest_word(name, siblings.iter().map(|key| key.name)) {
        return Some(format!("did you mean `{}`?", parent.join(word)));
    }
    let word = nearest_word(name, all.iter().map(|place| place.key.name));
    if let Some(places) = places_of(&all, parent, |key| Some(key.name) == word) {
        return Some(format!("did you mean {places}?"));
    }
    let known: Vec<&str> = siblings.iter().map(|key| key.name).take(LISTED).collect();
    let more = if siblings.len() > LISTED { " and more" } else { "" };
    (!known.is_empty()).then(|| format!("keys here are `{}`{more}", known.join("`, `")))
}

/// How many keys are listed when nothing is near.
const LISTED: usize = 12;

/// A key and where it stands, `datasets[].image_dir`.
struct Place<'a> {
    parent: String,
    path: String,
    key: &'a Key,
}

fn all_keys(root: &[Key]) -> Vec<Place<'_>> {
    fn walk<'a>(keys: &'a [Key], parent: &str, out: &mut Vec<Place<'a>>) {
        for key in keys {
            let path = match parent {
                "" => key.name.to_owned(),
                parent => format!("{parent}.{}", key.name),
            };
            let list = if matches!(key.kind.inner(), crate::Kind::List(_)) { "[]" } else { "" };
            out.push(Place { parent: parent.to_owned(), path: path.clone(), key });
            if let Some(keys) = key.kind.keys() {
                walk(keys, &format!("{path}{list}"), out);
            }
        }
    }
    let mut out = Vec::new();
    walk(root, "", &mut out);
    out
}

/// `train.num_epochs: 5` as one key of the file: known, but written as on the command line.
fn spelled_out(all: &[Place<'_>], parent: &KeyPath, name: &str) -> Option<String> {
    let full = parent.join(name).pattern();
    let (block, key) = name.rsplit_once('.')?;
    all.iter().any(|place| place.path == full).then(|| {
        format!("in a file, `{key}:` stands indented under `{}:`", block.replace('.', ":` under `"))
    })
}

/// The places of some key, those that share most with `parent` first, at most three.
fn places_of(all: &[Place<'_>], parent: &KeyPath, wanted: impl Fn(&Key) -> bool) -> Option<String> {
    let from = parent.pattern();
    let shared = |place: &Place<'_>| {
        let ours = from.split('.').filter(|part| !part.is_empty());
        ours.zip(place.parent.split('.')).take_while(|(a, b)| a == b).count()
    };
    let found: Vec<&Place<'_>> = all.iter().filter(|place| wanted(place.key)).collect();
    let most = found.iter().map(|place| shared(place)).max()?;
    let nearest = found.iter().filter(|place| shared(place) == most);
    let paths: Vec<&str> = nearest.map(|place| place.path.as_str()).take(3).collect();
    Some(either(&paths))
}

/// A name without what people spell differently.
fn squeezed(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_must_be_near() {
        let words = ["adamw", "lamb"];
        let nearest = |text| nearest_word(text, words.into_iter());
        assert_eq!(nearest("adam"), Some("adamw"));
        assert_eq!(nearest("AdamW"), Some("adamw"));
        assert_eq!(nearest("lamp"), Some("lamb"));
        assert_eq!(nearest("sgd"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest(&"a".repeat(100_000)), None);
    }
}
