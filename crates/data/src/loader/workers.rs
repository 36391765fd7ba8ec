//! Threads that make samples, and the window that puts their results in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{Dataset, Made, make};
use crate::error::DataError;
use crate::random::Key;

struct Task {
    number: usize,
    index: usize,
    key: Key,
}

/// The number of a task, and what came of it.
type Outcome<S> = (usize, Made<S>);

/// The channels have no bound of their own: the window of the caller is the bound.
pub(super) struct Workers<S> {
    /// `None` only while it is dropped.
    channels: Option<(Sender<Task>, Receiver<Outcome<S>>)>,
    threads: Vec<JoinHandle<()>>,
    /// Number of the task whose result is taken next.
    first: usize,
    /// Results of the tasks from `first` on; `None` where a worker is still busy.
    window: VecDeque<Option<Made<S>>>,
}

impl<S: Send + 'static> Workers<S> {
    /// `None` when no thread is wanted or the system gives none.
    pub(super) fn start<D>(dataset: &Arc<D>, threads: usize) -> Option<Workers<S>>
    where
        D: Dataset<Sample = S>,
    {
        let (tasks, open_tasks) = unbounded::<Task>();
        let (results, made) = unbounded();
        let threads: Vec<JoinHandle<()>> = (0..threads)
            .map_while(|number| {
                let (dataset, tasks) = (Arc::clone(dataset), open_tasks.clone());
                let results = results.clone();
                let work = move || {
                    for Task { number, index, key } in tasks {
                        let made = make(&*dataset, index, &key);
                        if results.send((number, made)).is_err() {
                            return; // nobody wants the rest
                        }
                    }
                };
                thread::Builder::new().name(format!("loader-{number}")).spawn(work).ok()
            })
            .collect();
        let channels = Some((tasks, made));
        (!threads.is_empty()).then_some(Workers {
            channels,
            threads,
            first: 0,
            window: VecDeque::new(),
        })
    }

    /// How many results are not taken yet.
    pub(super) fn on_their_way(&self) -> usize {
        self.window.len()
    }

    pub(super) fn hand_out(&mut self, index: usize, key: Key) {
        let number = self.first + self.window.len();
        self.window.push_back(None);
        if let Some((tasks, _)) = &self.channels {
            // Fails only without a living thread; `take` reports that.
            let _ = tasks.send(Task { number, index, key });
        }
    }

    /// The result of the oldest task that was handed out; waits for it.
    pub(super) fn take(&mut self) -> Made<S> {
        loop {
            if let Some(made) = self.window.front_mut().and_then(Option::take) {
                self.window.pop_front();
                self.first += 1;
                return made;
            }
            match self.channels.as_ref().map(|(_, made)| made.recv()) {
                Some(Ok((number, made))) => self.window[number - self.first] = Some(made),
                _ => return threads_gone(),
            }
        }
    }
}

fn threads_gone<S>() -> Made<S> {
    let problem = "its threads ended".to_owned();
    let sample = Err(DataError::Panicked { sample: "loader".to_owned(), problem });
    Made { sample, stages: super::Stages::default() }
}

impl<S> Drop for Workers<S> {
    /// Closes both channels, so that each thread stops after the sample it is making, and waits.
    fn drop(&mut self) {
        self.channels = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
