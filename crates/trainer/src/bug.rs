//! A panic is a bug of this program: it is said so, once, with what a report needs.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::{Mutex, MutexGuard, PoisonError},
};

use hearth_engine::Failure;

use crate::failure::{Failed, exit};

/// The report of the newest panic, until someone tells it.
static NEWEST: Mutex<String> = Mutex::new(String::new());

/// Keeps what panics say instead of printing it: libraries that decode hostile files may panic, and
/// are caught and answered with an error of the data. Only what reaches [`guarded`] is a bug.
pub(crate) fn keep_panics() {
    panic::set_hook(Box::new(|info| *newest() = report(info)));
}

fn newest() -> MutexGuard<'static, String> {
    NEWEST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work`; a panic in it becomes an error that says so.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    // What `work` touches is dropped or only written to for its last line afterwards.
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        Err(Failed {
            exit_code: exit::OTHER,
            class: Failure::Other,
            reason: format!("this is a bug: {}", text_of(&*payload)),
            report: std::mem::take(&mut *newest()),
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
