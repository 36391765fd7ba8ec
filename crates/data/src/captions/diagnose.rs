//! Why a folder gave no pair: what lies there, and where the data may be.

use std::path::Path;

use super::PairSource;
use crate::error::NothingFound;
use crate::folder::{self, Folder, LOOKED_FOR};

/// A folder of many sub-folders with pictures is a classification dataset, not a mistake of one level.
const MANY_CLASSES: usize = 2;

/// What was looked for in this source, what was found, and what may help.
pub(super) fn no_pairs(source: &PairSource) -> NothingFound {
    let dir = source.image_dir.display();
    if let Some(list) = &source.image_list_file {
        let found = format!("`{}`: the list holds no name", list.display());
        return NothingFound { found, hints: Vec::new() };
    }
    let folder = folder::list(&source.image_dir).unwrap_or_default();
    let pictures = folder.files.iter().filter(|path| folder::is_picture(path)).count();
    let suffix = &source.caption_file_suffix;
    let captions = source.caption_dir.as_deref().unwrap_or(&source.image_dir);
    let found = match pictures {
        0 => format!("`{dir}`: no pictures ({LOOKED_FOR})"),
        count => format!(
            "`{dir}`: {count} pictures ({LOOKED_FOR}), none with its caption `NAME{suffix}` in `{}`",
            captions.display()
        ),
    };
    let mut hints = classification(source, &folder);
    if hints.is_empty() && pictures == 0 {
        hints.extend(one_level_too_high("image_dir", &folder, folder::is_picture));
    }
    if pictures > 0 && hints.is_empty() {
        let captions = folder::list(captions).unwrap_or_default();
        let is_caption = |path: &Path| path.to_string_lossy().ends_with(suffix.as_str());
        hints.extend(one_level_too_high("caption_dir", &captions, is_caption));
    }
    NothingFound { found, hints }
}

/// The suggestion for a folder whose sub-folder holds what was looked for.
pub(crate) fn one_level_too_high(
    key: &str,
    folder: &Folder,
    wanted: impl Fn(&Path) -> bool,
) -> Option<String> {
    let holders = folder::sub_folders_with(folder, wanted);
    let first = holders.first()?.display();
    let more = match holders.len() {
        1 => String::new(),
        count => format!(" (one of {count} such folders; give each its own entry)"),
    };
    Some(format!("the folder is one level too high: set `{key}: {first}`{more}"))
}

/// The suggestion for a folder with class names or one folder per class, which has no captions.
fn classification(source: &PairSource, folder: &Folder) -> Vec<String> {
    let dir = source.image_dir.display();
    let has_names = folder.files.iter().any(|file| file.ends_with("classes.txt"));
    let classes = folder::sub_folders_with(folder, folder::is_picture);
    let suffix = &source.caption_file_suffix;
    let has_captions = classes.iter().any(|class| {
        let name = class.file_name().unwrap_or_default();
        let captions = source.caption_dir.as_ref().map_or(class.clone(), |dir| dir.join(name));
        let files = folder::list(&captions).unwrap_or_default().files;
        files.iter().any(|file| file.to_string_lossy().ends_with(suffix.as_str()))
    });
    let what = match (has_names, classes.len()) {
        (true, 0..MANY_CLASSES) => "a classes.txt".to_owned(),
        (true, count) => format!("a classes.txt and {count} folders of pictures"),
        (false, 0..MANY_CLASSES) => return Vec::new(),
        (false, count) => format!("{count} folders of pictures, perhaps one per class"),
    };
    if has_captions {
        return Vec::new();
    }
    vec![format!(
        "`{dir}` holds {what} and no captions: class names alone are not captions; write one text \
         file `NAME{suffix}` per picture, for example `a photo of a dog`; zero-shot classification \
         takes such folders as they are"
    )]
}
