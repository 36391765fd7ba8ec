//! Whoever waits for long work of this crate.

/// What a run hears, and whether it wants the work to end.
pub struct Follower<'a> {
    /// One line for the user.
    pub notice: &'a dyn Fn(&str),
    /// One that asks for attention.
    pub warn: &'a dyn Fn(&str),
    /// Asked from time to time.
    pub is_stopped: &'a dyn Fn() -> bool,
}
