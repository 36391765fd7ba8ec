//! What an action leaves for the user to read when it has succeeded.

/// The result of an action in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// For standard output; may be empty.
    pub text: String,
    /// Command lines that go on from here, without the name of the program.
    pub next: Vec<String>,
}

impl From<String> for Summary {
    fn from(text: String) -> Self {
        Self { text, next: Vec::new() }
    }
}
