//! What can be wrong with the numbers of a backbone.

/// A configuration that describes no model; found before anything is allocated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackboneError {
    /// One number has to be a multiple of another.
    #[error("`{what}` is {value}, it must be a multiple of `{by}`, which is {divisor}")]
    NotDivisible {
        /// Name of the number.
        what: &'static str,
        /// The number.
        value: usize,
        /// Name of the divisor.
        by: &'static str,
        /// The divisor.
        divisor: usize,
    },
    /// A number is below its smallest sensible value.
    #[error("`{what}` is {value}, it must be at least {minimum}")]
    TooSmall {
        /// Name of the number.
        what: &'static str,
        /// The number.
        value: usize,
        /// The smallest that is allowed.
        minimum: usize,
    },
}

/// Fails unless `value` is a positive multiple of `divisor`.
pub(crate) fn check_divisible(
    what: &'static str,
    value: usize,
    by: &'static str,
    divisor: usize,
) -> Result<(), BackboneError> {
    check_at_least(by, divisor, 1)?;
    check_at_least(what, value, 1)?;
    if value.is_multiple_of(divisor) {
        Ok(())
    } else {
        Err(BackboneError::NotDivisible { what, value, by, divisor })
    }
}

/// Fails when `value` is below `minimum`.
pub(crate) fn check_at_least(
    what: &'static str,
    value: usize,
    minimum: usize,
) -> Result<(), BackboneError> {
    if value < minimum { Err(BackboneError::TooSmall { what, value, minimum }) } else { Ok(()) }
}
