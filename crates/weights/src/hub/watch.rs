//! What fetching tells whoever waits, and what lets it go on.

use std::{
    ops::ControlFlow,
    thread::sleep,
    time::{Duration, Instant},
};

use super::error::HubError;
use super::settings::Patience;

/// How often the caller is asked while nothing else happens.
const GLANCE: Duration = Duration::from_millis(50);

/// Something happened, or nothing did for a moment.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// The cache does not hold everything: the hub is asked.
    Asking {
        /// Its address.
        endpoint: &'a str,
    },
    /// Another process fetches the same file.
    Waiting {
        /// Its name in the repository.
        file: &'a str,
    },
    /// Bytes of a file are in the cache; the first time it is what an earlier attempt left.
    Received {
        /// Its name in the repository.
        file: &'a str,
        /// So far.
        done: u64,
        /// When it is whole.
        size: u64,
    },
    /// An attempt failed and another one follows after a pause.
    Retrying {
        /// What went wrong.
        error: &'a HubError,
    },
    /// The hub did not answer; the weights are in the cache, but nobody knows what else exists.
    Settling {
        /// What went wrong.
        error: &'a HubError,
    },
    /// A pause.
    Idle,
}

/// Whoever waits: hears every event and may end the work.
pub(super) struct Watch<'w> {
    pub(super) name: String,
    pub(super) listener: &'w mut dyn FnMut(&Event<'_>) -> ControlFlow<()>,
}

impl Watch<'_> {
    pub(super) fn tell(&mut self, event: &Event<'_>) -> Result<(), HubError> {
        match (self.listener)(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(HubError::Stopped { name: self.name.clone() }),
        }
    }

    /// Sleeps, and asks now and then whether to go on.
    pub(super) fn pause(&mut self, time: Duration) -> Result<(), HubError> {
        let start = Instant::now();
        loop {
            self.tell(&Event::Idle)?;
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(GLANCE));
        }
    }

    /// Lets another attempt follow after a pause, or ends with the error of the last one.
    pub(super) fn retry(
        &mut self,
        error: HubError,
        failures: u32,
        patience: Patience,
    ) -> Result<(), HubError> {
        if !error.is_of_the_network() || failures >= patience.attempts {
            return Err(error);
        }
        self.tell(&Event::Retrying { error: &error })?;
        self.pause(patience.pause * 2_u32.pow(failures.saturating_sub(1).min(6)))
    }
}
