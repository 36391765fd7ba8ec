//! Replicas: the cores of this machine, split among workers that each take a part of a batch.
//!
//! A replica has threads of its own, and every operation that it calls runs on them. Parts are dealt
//! out by their number and results come back in order, so that the number of replicas decides the bits
//! of a result, and the speed of the threads nothing.

mod choice;

use std::{panic, thread};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::EngineError;

/// As much as the first thread of a program has.
const STACK_BYTES: usize = 8 << 20;

/// The workers of one process.
#[derive(Debug)]
pub struct Replicas {
    /// Threads of each; none for a single replica, which is whoever calls.
    pools: Vec<ThreadPool>,
}

/// Threads that compute tensors, over all replicas: the cores, or what `RAYON_NUM_THREADS` says.
pub fn cores() -> usize {
    rayon::current_num_threads()
}

/// How many replicas suit `cores`, at most `most`: as few threads for each as that allows, since a
/// replica hardly gains from its second thread.
pub fn suitable_replicas(cores: usize, most: usize) -> usize {
    cores / cores.div_ceil(most).max(1)
}

/// `items` in at most `parts` pieces, in order; their sizes differ by at most one, and none is empty.
pub fn cut<T>(items: &[T], parts: usize) -> Vec<&[T]> {
    let parts = parts.min(items.len());
    let (least, larger) =
        (items.len().checked_div(parts).unwrap_or(0), items.len().checked_rem(parts).unwrap_or(0));
    let mut rest = items;
    let piece = |at| {
        let piece;
        (piece, rest) = rest.split_at(least + usize::from(at < larger));
        piece
    };
    (0..parts).map(piece).collect()
}

impl Replicas {
    /// One replica with all threads: whoever calls.
    pub fn one() -> Self {
        Self { pools: Vec::new() }
    }

    /// `count` replicas that share the cores, at least one thread each.
    pub fn new(count: usize) -> Result<Self, EngineError> {
        if count <= 1 {
            return Ok(Self::one());
        }
        let threads = (cores() / count).max(1);
        let pool = |number| {
            ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(move |thread| format!("replica-{number}.{thread}"))
                .stack_size(STACK_BYTES)
                .build()
                .map_err(|source| EngineError::Threads { threads: threads * count, source })
        };
        Ok(Self { pools: (0..count).map(pool).collect::<Result<_, _>>()? })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.pools.len().max(1)
    }

    /// Threads of each replica.
    pub fn threads(&self) -> usize {
        self.pools.first().map_or_else(cores, ThreadPool::current_num_threads)
    }

    /// `work` on each of `items` and its number: number i on replica i mod N. Results in order; a panic
    /// of `work` is a panic of the caller.
    pub fn map<I: Send, R: Send>(
        &self,
        items: Vec<I>,
        work: impl Fn(usize, I) -> R + Sync,
    ) -> Vec<R> {
        let total = items.len();
        let one_by_one =
            |hand: Vec<(usize, I)>| hand.into_iter().map(|(number, item)| work(number, item));
        let hands = self.deal(items, |hand| one_by_one(hand).collect::<Vec<R>>());
        let mut hands: Vec<_> = hands.into_iter().map(Vec::into_iter).collect();
        let count = hands.len();
        (0..total).map(|at| hands[at % count].next().expect("a result for each")).collect()
    }

    /// `work` on each replica with all its items and their numbers: number i falls to replica i mod N.
    /// One result per replica, in order; without items a replica does nothing.
    pub fn deal<I: Send, R: Send>(
        &self,
        items: Vec<I>,
        work: impl Fn(Vec<(usize, I)>) -> R + Sync,
    ) -> Vec<R> {
        let count = self.count().min(items.len());
        let mut hands: Vec<Vec<(usize, I)>> = (0..count).map(|_| Vec::new()).collect();
        for (number, item) in items.into_iter().enumerate() {
            hands[number % count].push((number, item));
        }
        if count <= 1 {
            // All threads for the only hand.
            return hands.into_iter().map(work).collect();
        }
        let work = &work;
        thread::scope(|scope| {
            let hands = hands.into_iter().zip(&self.pools);
            let running: Vec<_> = hands
                .map(|(hand, pool)| scope.spawn(move || pool.install(|| work(hand))))
                .collect();
            let done = running.into_iter().map(|replica| replica.join());
            done.map(|done| done.unwrap_or_else(|panic| panic::resume_unwind(panic))).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn as_few_threads_each_as_the_number_of_replicas_allows() {
        let suited: Vec<usize> =
            [1, 2, 3, 7, 8, 9, 11, 12, 16, 64].map(|cores| suitable_replicas(cores, 8)).into();
        assert_eq!(suited, [1, 2, 3, 7, 8, 4, 5, 6, 8, 8]);
    }

    #[test]
    fn pieces_differ_by_at_most_one_and_none_is_empty() {
        let items: Vec<usize> = (0..7).collect();
        let sizes = |parts| cut(&items, parts).into_iter().map(<[usize]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(1), [7]);
        assert_eq!(sizes(3), [3, 2, 2]);
        assert_eq!(sizes(9), [1; 7]);
        assert_eq!(cut(&items, 3).concat(), items);
        assert!(cut(&[0; 0], 3).is_empty());
    }

    #[test]
    fn results_are_in_the_order_of_the_items_on_threads_of_the_replica() {
        for count in 1..=4 {
            let replicas = Replicas::new(count).unwrap();
            assert_eq!((replicas.count(), replicas.map(Vec::new(), |_, _: ()| 0)), (count, vec![]));
            for items in 1..=9 {
                let done = replicas.map((0..items).collect(), |number, item: usize| {
                    let name = thread::current().name().unwrap_or_default().to_owned();
                    (number, item * item, name, rayon::current_num_threads())
                });
                for (at, (number, square, name, threads)) in done.into_iter().enumerate() {
                    assert_eq!((number, square), (at, at * at));
                    let hands = count.min(items);
                    if hands > 1 {
                        assert_eq!(threads, replicas.threads());
                        assert!(name.starts_with(&format!("replica-{}.", at % hands)), "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_panic_of_a_replica_is_one_of_the_caller() {
        let replicas = Replicas::new(2).unwrap();
        let work = |_, item: usize| assert!(item != 3, "planned");
        let outcome = catch_unwind(AssertUnwindSafe(|| replicas.map((0..6).collect(), work)));
        assert!(outcome.unwrap_err().downcast_ref::<&str>().unwrap().contains("planned"));
        assert_eq!(replicas.map(vec![1, 2], |_, item| item), [1, 2]);
    }
}
