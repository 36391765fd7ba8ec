//! A panic is a bug of this program: it is said so, once, with what a report needs.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hearth_engine::Failure;

use crate::{
    console::Console,
    failure::{Failed, exit},
};

/// Makes panics of all threads appear on `console` instead of Rust's own text.
pub(crate) fn report_panics_on(console: &Arc<Console>) {
    let console = Arc::clone(console);
    // One broken thread often breaks the others: the first tells the story.
    let told = AtomicBool::new(false);
    panic::set_hook(Box::new(move |info| {
        if !told.swap(true, Ordering::SeqCst) {
            console.last_words(&report(info));
        }
    }));
}

/// Runs `work`; a panic in it becomes an error, already told by the hook.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    // What `work` touches is dropped or only written to for its last line afterwards.
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        Err(Failed {
            exit_code: exit::OTHER,
            class: Failure::Other,
            reason: format!("this is a bug: {}", text_of(&*payload)),
            report: String::new(),
        })
    })
}

fn report(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map_or_else(String::new, |at| format!(" at {at}"));
    format!(
        "error: this is a bug in trainer {}: {}{place}\n\n\
         hint: checkpoints written so far are whole, and the same command continues from them\n\
         hint: please report these lines together with the command and the spec; with \
         `RUST_BACKTRACE=1` set they say more{}",
        env!("CARGO_PKG_VERSION"),
        text_of(info.payload()),
        backtrace(),
    )
}

/// Empty unless `RUST_BACKTRACE` asks for it.
fn backtrace() -> String {
    use std::backtrace::{Backtrace, BacktraceStatus};
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => format!("\n\n{backtrace}"),
        _ => String::new(),
    }
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    let literal = payload.downcast_ref::<&'static str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_names_the_bug() {
        let empty: Vec<f32> = Vec::new();
        let failed = guarded(|| -> Result<(), Failed> {
            let index = empty.len();
            panic!("index {index} of an empty list")
        })
        .unwrap_err();
        assert_eq!(failed.exit_code, exit::OTHER);
        assert_eq!(failed.class, Failure::Other);
        assert_eq!(failed.reason, "this is a bug: index 0 of an empty list");
    }

    #[test]
    fn an_ordinary_error_passes_through() {
        let failed = guarded(|| -> Result<(), Failed> { Err(Failed::usage("no", &[])) });
        assert_eq!(failed.unwrap_err().reason, "no");
    }
}
