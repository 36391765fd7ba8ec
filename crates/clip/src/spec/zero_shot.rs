//! `hearth.evaluate.zero_shot`: classification by the names of classes.

use hearth_spec::{Checks, block};

use crate::zero_shot::{Mistake, WORDS, templates};

/// Where the block stands.
const BLOCK: &str = "hearth.evaluate.zero_shot";

block! {
    /// Zero-shot classification in `evaluate`: each picture goes to the class whose name, put into sentences, its
    /// embedding is nearest to. It runs when `image_dir` is set, beside retrieval or, without
    /// `dataset.val.datasets`, alone.
    pub struct ZeroShotSpec {
        /// Folder with one folder of pictures per class, each searched with all its sub-folders; or the folder of the
        /// pictures in `image_list_file`.
        image_dir: Option<String> => known_as(&["images_dir", "data_dir", "root"]),
        /// Text file with lines `PICTURE<TAB>CLASS` in the place of class folders, pictures relative to `image_dir`.
        image_list_file: Option<String> => known_as(&["image_list"]),
        /// Text file with the names of the classes: lines `FOLDER<TAB>NAME`, or one name per line in the sorted order of
        /// the folders, or the folders themselves. Not set takes the names of the folders, with `_` as a space. A class
        /// that stands only here is a possible answer without pictures.
        class_names: Option<String> => known_as(&["classes", "classnames", "names"]),
        /// Sentences with `{}` in the place of the class's name; a class is the mean of all of them. Or one word:
        /// `simple` for the seven of open_clip, `openai` for OpenAI's eighty, `plain` for `a photo of a {}.` alone.
        templates: Vec<String> = vec!["simple".into()] => known_as(&["template", "prompts"]),
        /// Pictures, and prompts, that are embedded at a time. Results do not depend on it.
        batch_size: usize = 32 => min(1),
        /// Threads that decode; 0 does it between the batches. Results do not depend on it.
        num_workers: usize = 8 => min(0),
        /// Also writes `zero_shot_scores.csv`: for every picture its logit of every class.
        scores: bool,
    }
}

/// Whether the block says something that can be done.
pub(super) fn check(checks: &mut Checks<'_>, spec: &ZeroShotSpec) {
    if spec.image_list_file.is_some() {
        let purpose = "as the folder that the pictures of `image_list_file` lie in";
        checks.require(&format!("{BLOCK}.image_dir"), purpose);
    } else if spec.image_dir.is_none() && checks.document().is_written(BLOCK) {
        checks.warn(BLOCK, "not used: `image_dir` is not set");
    }
    let key = format!("{BLOCK}.templates");
    if spec.templates.is_empty() {
        checks.error(&key, "an empty list", "one template or more, or a word such as `simple`");
    }
    for (at, mistake) in templates(&spec.templates).err().unwrap_or_default() {
        let (key, entry) = (format!("{key}[{at}]"), spec.templates[at].as_str());
        let needed = match mistake {
            Mistake::NoPlace => "`{}` in the place of the class's name",
            Mistake::StrayBrace => "no braces but `{}`, which stands for the class's name",
            Mistake::NotAlone => "no entry beside this word, which stands for a list of its own",
        };
        checks.error(&key, format!("`{entry}`"), needed);
        if mistake == Mistake::NoPlace {
            checks.suggest(entry, &WORDS);
        }
    }
}
