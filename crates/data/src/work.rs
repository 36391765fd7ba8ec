//! Long work before the first batch: done on threads, shown while it lasts, stopped when asked.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, unbounded};

use crate::error::DataError;

/// Most threads: reading ahead of a disk gains little beyond.
const THREADS: usize = 8;

/// How often whoever waits hears of work that has not finished a part.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whoever waits for long work. All calls come from the thread that started it.
pub trait Watch {
    /// Work of `parts` parts starts.
    fn begin(&self, what: &str, parts: u64);
    /// So many parts are done; `detail` is short and current.
    fn advance(&self, done: u64, detail: &str);
    /// The work is over, finished or not.
    fn end(&self);
    /// Whether the work should end early.
    fn is_stopped(&self) -> bool;
}

/// Nobody waits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn begin(&self, _what: &str, _parts: u64) {}
    fn advance(&self, _done: u64, _detail: &str) {}
    fn end(&self) {}
    fn is_stopped(&self) -> bool {
        false
    }
}

/// What the working threads say: bytes they have been through.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    bytes: AtomicU64,
    stopped: AtomicBool,
}

impl Meter {
    /// Counts bytes; an error where the work is to stop.
    pub(crate) fn add(&self, bytes: u64) -> io::Result<()> {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("stopped"));
        }
        Ok(())
    }
}

/// Does `work` for every part, in any order; the results are in the order of the parts.
pub(crate) fn in_parallel<P: Sync, R: Send>(
    what: &str,
    parts: &[P],
    watch: &dyn Watch,
    work: impl Fn(&P, &Meter) -> R + Sync,
) -> Result<Vec<R>, DataError> {
    let meter = Meter::default();
    let next = AtomicUsize::new(0);
    let (results, finished) = unbounded();
    let mut all: Vec<Option<R>> = parts.iter().map(|_| None).collect();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let step = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let is_stopped = meter.stopped.load(Ordering::Relaxed);
        let part = parts.get(number).filter(|_| !is_stopped)?;
        Some((number, work(part, &meter)))
    };
    watch.begin(what, parts.len() as u64);
    thread::scope(|scope| {
        for _ in 0..THREADS.min(2 * cores).min(parts.len()) {
            let results = results.clone();
            scope.spawn(move || {
                while let Some(result) = step() {
                    let _ = results.send(result);
                }
            });
        }
        drop(results);
        let mut done = 0;
        loop {
            match finished.recv_timeout(PATIENCE) {
                Ok((number, result)) => {
                    all[number] = Some(result);
                    done += 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            watch.advance(done, &size(meter.bytes.load(Ordering::Relaxed)));
            if watch.is_stopped() {
                meter.stopped.store(true, Ordering::Relaxed);
            }
        }
    });
    watch.end();
    if meter.stopped.load(Ordering::Relaxed) {
        return Err(DataError::Stopped);
    }
    Ok(all.into_iter().map(|result| result.expect("every part was done")).collect())
}

/// `3.4 GB`
fn size(bytes: u64) -> String {
    if bytes < 1_000_000_000 {
        format!("{:.0} MB", bytes as f64 / 1e6)
    } else {
        format!("{:.1} GB", bytes as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[derive(Default)]
    struct Heard {
        lines: RefCell<Vec<String>>,
        stop_after: Option<u64>,
        done: RefCell<u64>,
    }

    impl Watch for Heard {
        fn begin(&self, what: &str, parts: u64) {
            self.lines.borrow_mut().push(format!("{what} {parts}"));
        }
        fn advance(&self, done: u64, _detail: &str) {
            *self.done.borrow_mut() = done;
        }
        fn end(&self) {
            self.lines.borrow_mut().push("end".to_owned());
        }
        fn is_stopped(&self) -> bool {
            self.stop_after.is_some_and(|after| *self.done.borrow() >= after)
        }
    }

    #[test]
    fn results_are_in_the_order_of_the_parts() {
        let parts: Vec<u64> = (0..100).collect();
        let watch = Heard::default();
        let squares = in_parallel("squaring", &parts, &watch, |part, _| part * part).unwrap();
        assert!(squares.iter().zip(&parts).all(|(square, part)| *square == part * part));
        assert_eq!(*watch.lines.borrow(), ["squaring 100", "end"]);
        assert_eq!(*watch.done.borrow(), 100);
        let none = in_parallel("nothing", &[], &watch, |part: &u64, _| *part).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn work_stops_when_asked() {
        let watch = Heard { stop_after: Some(1), ..Heard::default() };
        let endless = |_: &u64, meter: &Meter| while meter.add(1).is_ok() {};
        let slow = |part: &u64, meter: &Meter| {
            if *part > 0 {
                endless(part, meter)
            }
        };
        let stopped = in_parallel("waiting", &[0, 1, 2, 3], &watch, slow);
        assert!(matches!(stopped, Err(DataError::Stopped)));
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(0), size(12_600_000), size(3_440_000_000)], ["0 MB", "13 MB", "3.4 GB"]);
    }
}
