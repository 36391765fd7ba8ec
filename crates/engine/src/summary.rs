//! What an action leaves for the user to read when it has succeeded.

/// The result of an action in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// For standard output; may be empty.
    pub text: String,
    /// Command lines that go on from here, without the name of the program.
    pub next: Vec<String>,
}

/// `1135670962` as `1,135,670,962`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl From<String> for Summary {
    fn from(text: String) -> Self {
        Self { text, next: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_in_groups_of_three() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (1_135_670_962, "1,135,670,962")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
