//! What the engine tells the person who waits; `trainer` decides how it looks.

/// One line of work at a time: `begin`, any number of `advance`, `end`; messages whenever.
pub trait Progress {
    /// A line that stays on the screen.
    fn message(&self, text: &str);

    /// A piece of work of `total` units (batches, pictures) starts; `what` names it: `epoch 3/10`.
    fn begin(&self, what: &str, total: u64);

    /// `done` of the units are finished; `detail` is short and current: `loss 0.412`.
    fn advance(&self, done: u64, detail: &str);

    /// The work that `begin` announced is over, finished or not.
    fn end(&self);
}

/// Says nothing: for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn message(&self, _text: &str) {}
    fn begin(&self, _what: &str, _total: u64) {}
    fn advance(&self, _done: u64, _detail: &str) {}
    fn end(&self) {}
}
