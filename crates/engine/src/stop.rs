//! SIGINT and SIGTERM as a flag that the loop asks after every step.
//!
//! The first signal lets the step finish and the checkpoint be written; the second ends the process
//! at once, with the exit code of that signal.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// A request of the user or of the system to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: a scheduler or `kill`.
    Terminate,
}

impl Signal {
    /// What the process ends with after this signal: 130 or 143, as shells expect.
    pub fn exit_code(self) -> u8 {
        128 + self.number() as u8
    }

    fn number(self) -> i32 {
        match self {
            Signal::Interrupt => SIGINT,
            Signal::Terminate => SIGTERM,
        }
    }
}

/// Clones share the flag.
#[derive(Debug, Clone, Default)]
pub struct StopFlag {
    /// Number of the signal that arrived last, 0 while none did.
    signal: Arc<AtomicUsize>,
}

impl StopFlag {
    /// A flag that no signal sets; tests set it with [`StopFlag::request`].
    pub fn new() -> StopFlag {
        StopFlag::default()
    }

    /// A flag that SIGINT and SIGTERM set. To be called once per process.
    pub fn on_signals() -> io::Result<StopFlag> {
        let stop = StopFlag::new();
        let second = Arc::new(AtomicBool::new(false));
        for signal in [Signal::Interrupt, Signal::Terminate] {
            let number = signal.number();
            // In this order: the shutdown has to see what an earlier signal left, not this one.
            let exit_code = i32::from(signal.exit_code());
            flag::register_conditional_shutdown(number, exit_code, Arc::clone(&second))?;
            flag::register(number, Arc::clone(&second))?;
            flag::register_usize(number, Arc::clone(&stop.signal), number as usize)?;
        }
        Ok(stop)
    }

    /// Sets the flag as if `signal` had arrived.
    pub fn request(&self, signal: Signal) {
        self.signal.store(signal.number() as usize, Ordering::SeqCst);
    }

    /// The signal that asks the run to stop, if one arrived.
    pub fn requested(&self) -> Option<Signal> {
        let number = self.signal.load(Ordering::SeqCst);
        [Signal::Interrupt, Signal::Terminate]
            .into_iter()
            .find(|signal| signal.number() as usize == number)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use signal_hook::low_level::raise;

    use super::*;

    const CHILD: &str = "HEARTH_TEST_STOP_CHILD";

    #[test]
    fn a_request_is_seen_by_clones() {
        let stop = StopFlag::new();
        let seen_by_the_loop = stop.clone();
        assert_eq!(seen_by_the_loop.requested(), None);
        stop.request(Signal::Terminate);
        assert_eq!(seen_by_the_loop.requested(), Some(Signal::Terminate));
        assert_eq!(Signal::Interrupt.exit_code(), 130);
        assert_eq!(Signal::Terminate.exit_code(), 143);
    }

    /// Signals belong to the process, so the case runs alone in a copy of this test binary.
    #[cfg(unix)]
    #[test]
    fn the_first_signal_sets_the_flag_and_the_second_ends_the_process() {
        if std::env::var_os(CHILD).is_some() {
            let stop = StopFlag::on_signals().unwrap();
            raise(SIGINT).unwrap();
            assert_eq!(stop.requested(), Some(Signal::Interrupt));
            raise(SIGTERM).unwrap();
            unreachable!("the second signal ends the process");
        }
        let this_test =
            "stop::tests::the_first_signal_sets_the_flag_and_the_second_ends_the_process";
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this_test, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap()
            .status;
        assert_eq!(status.code(), Some(143));
    }
}
