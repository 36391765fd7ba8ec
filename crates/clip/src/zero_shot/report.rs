//! What a classification leaves: metrics, a table for the terminal, files for a closer look.

use hearth_engine::{FileError, Metrics, Run, grouped};

use super::Outcome;

impl Outcome {
    /// Fractions 0 to 1.
    pub(crate) fn metrics(&self) -> Metrics {
        let metrics = [
            ("zero_shot_top1", self.tally.top1()),
            ("zero_shot_top5", self.tally.top5()),
            ("zero_shot_mean_per_class", self.tally.mean_per_class()),
        ];
        metrics.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// How many pictures were classified.
    pub(crate) fn num_pictures(&self) -> usize {
        self.tally.confusion().samples() as usize
    }

    /// How many answers there were.
    pub(crate) fn num_classes(&self) -> usize {
        self.data.classes.len()
    }

    /// For the terminal.
    pub(crate) fn table(&self) -> String {
        format!(
            "{:14}{:>8}{:>8}{:>16}\n{:14}{:8.4}{:8.4}{:16.4}\n{} pictures, {} classes, templates: {}",
            "Zero-shot",
            "top-1",
            "top-5",
            "mean per class",
            "",
            self.tally.top1(),
            self.tally.top5(),
            self.tally.mean_per_class(),
            grouped(self.num_pictures()),
            grouped(self.num_classes()),
            self.num_templates
        )
    }

    /// Writes the table of the classes and the confusion matrix to the results folder.
    pub(crate) fn write(&self, run: &Run) -> Result<(), FileError> {
        let file = |name: &str| run.results.join(name);
        let names: Vec<String> = self.data.classes.iter().map(|class| class.name.clone()).collect();
        let classes = self.data.classes.iter().map(|class| (class.key.clone(), class.name.clone()));
        let classes: Vec<(String, String)> = classes.collect();
        self.tally.write_per_class(&file("zero_shot_per_class.csv"), &classes)?;
        let confusion = self.tally.confusion();
        confusion.write_csv(&file("zero_shot_confusion.csv"), &names)?;
        confusion.write_svg(&file("zero_shot_confusion.svg"), &names)
    }
}
