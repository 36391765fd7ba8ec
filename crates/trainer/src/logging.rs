//! Log events of the libraries as lines: `warning: ...`, the level first and nothing else.

use std::{fmt, sync::Arc};

use tracing::{
    Event, Level as TracingLevel, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::{arguments::Level, console::Console};

/// From here on `tracing` events of this workspace appear on `console`, of others only warnings.
pub(crate) fn init(console: &Arc<Console>, level: Level) {
    let filter = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warning => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    let targets = Targets::new()
        .with_default(filter.min(LevelFilter::WARN))
        .with_target("hearth", filter)
        .with_target("trainer", filter);
    let lines = Lines { console: Arc::clone(console) }.with_filter(targets);
    tracing_subscriber::registry().with(lines).init();
}

struct Lines {
    console: Arc<Console>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let label = match *metadata.level() {
            TracingLevel::ERROR => "error: ".to_owned(),
            TracingLevel::WARN => "warning: ".to_owned(),
            TracingLevel::INFO => String::new(),
            _ => format!("debug: {}: ", metadata.target()),
        };
        let mut text = Text::default();
        event.record(&mut text);
        self.console.line(&format!("{label}{}{}", text.message, text.fields));
    }
}

/// The message, and other fields behind it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.fields.push_str(&format!(", {name} {value:?}")),
        }
    }
}
