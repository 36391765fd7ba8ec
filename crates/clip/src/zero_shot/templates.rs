//! Sentences around the name of a class: `{}` stands for the name.
//!
//! Source: OpenAI's notebook for ImageNet, by way of open_clip's `zero_shot_metadata.py`.

/// Words that stand for a known list of templates.
pub const WORDS: [&str; 3] = ["simple", "openai", "plain"];

/// The seven of OpenAI's templates that together do about as well as all of them.
const SIMPLE: [&str; 7] = [
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
];

/// OpenAI's eighty, one a line.
const OPENAI: &str = include_str!("openai_templates.txt");

const PLAIN: &str = "a photo of a {}.";

/// Why an entry is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Neither a template nor a known word.
    NoPlace,
    /// A brace that is no part of `{}`.
    StrayBrace,
    /// A word beside other entries.
    NotAlone,
}

/// The templates that the entries of a spec stand for, or the positions of wrong ones.
pub fn templates(entries: &[String]) -> Result<Vec<String>, Vec<(usize, Mistake)>> {
    if let [word] = entries
        && let Some(known) = of_word(word)
    {
        return Ok(known);
    }
    let mistake = |entry: &String| {
        let rest = entry.replace("{}", "");
        match () {
            () if WORDS.contains(&entry.as_str()) => Some(Mistake::NotAlone),
            () if rest.contains(['{', '}']) => Some(Mistake::StrayBrace),
            () if rest.len() == entry.len() => Some(Mistake::NoPlace),
            () => None,
        }
    };
    let mistakes: Vec<_> = (entries.iter().enumerate())
        .filter_map(|(at, entry)| Some((at, mistake(entry)?)))
        .collect();
    if mistakes.is_empty() { Ok(entries.to_vec()) } else { Err(mistakes) }
}

fn of_word(word: &str) -> Option<Vec<String>> {
    match word {
        "simple" => Some(SIMPLE.map(str::to_owned).into()),
        "openai" => Some(OPENAI.lines().map(str::to_owned).collect()),
        "plain" => Some(vec![PLAIN.to_owned()]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[&str]) -> Result<Vec<String>, Vec<(usize, Mistake)>> {
        templates(&entries.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn words_stand_for_lists_that_are_templates_themselves() {
        for (word, count) in WORDS.into_iter().zip([7, 80, 1]) {
            let known = read(&[word]).unwrap();
            assert_eq!(known.len(), count, "{word}");
            assert!(known.iter().all(|template| template.matches("{}").count() == 1), "{word}");
            let entries: Vec<&str> = known.iter().map(String::as_str).collect();
            assert_eq!(read(&entries).unwrap(), known);
        }
        let openai = read(&["openai"]).unwrap();
        assert!(SIMPLE.iter().all(|template| openai.iter().any(|known| known == template)));
    }

    #[test]
    fn mistakes_are_found_all_at_once() {
        use Mistake::{NoPlace, NotAlone, StrayBrace};
        for (entries, mistakes) in [
            (&["a photo"][..], vec![(0, NoPlace)]),
            (
                &["{}", "a {class}", "a {0} {}", "a }{ {}"],
                [1, 2, 3].map(|at| (at, StrayBrace)).into(),
            ),
            (&["simple", "a {}", "plain"], vec![(0, NotAlone), (2, NotAlone)]),
            (&["Simple", ""], vec![(0, NoPlace), (1, NoPlace)]),
        ] {
            assert_eq!(read(entries), Err(mistakes), "{entries:?}");
        }
    }
}
