//! The loader: the same batches for any number of threads, errors in their place, no hang.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hearth_data::DataError;
use hearth_data::loader::{Dataset, Loader, LoaderReport, Stage, Stages};
use hearth_data::random::Key;
use hearth_data::sampler::EpochPlan;
use hearth_data::unreadable::{Tolerance, Unreadable, allowed};

/// Samples that depend on their key, take unequal time, and fail where they are told to.
#[derive(Default)]
struct Toy {
    len: usize,
    fail: Vec<usize>,
    panic: Vec<usize>,
    made: AtomicUsize,
    alive: Arc<AtomicUsize>,
    most_alive: Arc<AtomicUsize>,
}

/// Counts how many samples exist at a time.
struct Sample {
    index: usize,
    random: u64,
    alive: Arc<AtomicUsize>,
}

impl Drop for Sample {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Dataset for Toy {
    type Sample = Sample;

    fn len(&self) -> usize {
        self.len
    }

    fn sample(&self, index: usize, key: &Key, stages: &mut Stages) -> Result<Sample, DataError> {
        self.made.fetch_add(1, Ordering::SeqCst);
        let mut numbers = key.of("toy").rng();
        let random = numbers.bits();
        stages.time(Stage::Decode, || thread::sleep(Duration::from_micros(random % 500)));
        if self.fail.contains(&index) {
            return Err(DataError::Sample { sample: self.name(index), problem: "torn".to_owned() });
        }
        assert!(!self.panic.contains(&index), "cannot make {index}");
        let alive = self.alive.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_alive.fetch_max(alive, Ordering::SeqCst);
        Ok(Sample { index, random, alive: Arc::clone(&self.alive) })
    }

    fn name(&self, index: usize) -> String {
        format!("toy {index}")
    }
}

fn toy(len: usize) -> Toy {
    Toy { len, ..Toy::default() }
}

type Numbers = Vec<Vec<(usize, u64)>>;

/// The batches as numbers, and the error that ended them.
fn collect(toy: Toy, threads: usize, plan: EpochPlan, start: usize) -> (Numbers, Option<String>) {
    let loader = Loader::new(Arc::new(toy), threads);
    let mut batches = Vec::new();
    for batch in loader.batches(plan, start) {
        match batch {
            Ok(samples) => batches.push(samples.iter().map(|s| (s.index, s.random)).collect()),
            Err(error) => return (batches, Some(error.to_string())),
        }
    }
    (batches, None)
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let plan = || EpochPlan::shuffled(7, 3, 50, 4);
    let (alone, error) = collect(toy(50), 0, plan(), 0);
    assert_eq!((alone.len(), error), (12, None));
    for threads in [1, 4, 64] {
        assert_eq!(
            collect(toy(50), threads, plan(), 0),
            (alone.clone(), None),
            "{threads} threads"
        );
    }
    let other_epoch = collect(toy(50), 4, EpochPlan::shuffled(7, 4, 50, 4), 0).0;
    assert_ne!(other_epoch, alone);
}

#[test]
fn a_start_in_mid_epoch_is_the_tail() {
    let plan = || EpochPlan::shuffled(7, 3, 50, 4);
    let (whole, _) = collect(toy(50), 2, plan(), 0);
    for (threads, start) in [(0, 5), (4, 5), (4, 11), (4, 12), (4, usize::MAX)] {
        let (tail, error) = collect(toy(50), threads, plan(), start);
        assert_eq!((tail.as_slice(), error), (&whole[start.min(12)..], None));
    }
}

#[test]
fn evaluation_keeps_its_order_and_its_last_batch() {
    let (batches, _) = collect(toy(10), 3, EpochPlan::sequential(10, 4), 0);
    let indices: Vec<Vec<usize>> =
        batches.iter().map(|batch| batch.iter().map(|sample| sample.0).collect()).collect();
    assert_eq!(indices, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
}

#[test]
fn an_error_comes_in_its_place_and_ends_the_epoch() {
    for threads in [0, 1, 4] {
        // 13 fails in batch 3; 6 in batch 1 comes first although both may be made by then.
        let toy = Toy { fail: vec![13, 6], ..toy(40) };
        let plan = EpochPlan::sequential(40, 4);
        let mut batches = Loader::new(Arc::new(toy), threads).batches(plan, 0);
        assert_eq!(batches.next().unwrap().unwrap().len(), 4);
        let error = batches.next().unwrap().err().unwrap();
        assert_eq!(error.to_string(), "toy 6: torn", "{threads} threads");
        assert!(batches.next().is_none());
        assert!(batches.next().is_none());
    }
}

#[test]
fn a_panic_is_an_error_and_not_a_hang() {
    for threads in [0, 1, 4] {
        let toy = Toy { panic: vec![5], ..toy(20) };
        let (batches, error) = collect(toy, threads, EpochPlan::sequential(20, 4), 0);
        assert_eq!(batches.len(), 1);
        assert_eq!(error.unwrap(), "toy 5: the loader panicked: cannot make 5");
    }
}

#[test]
fn memory_is_bounded_and_threads_stop() {
    let toy = toy(1000);
    let (alive, most_alive) = (Arc::clone(&toy.alive), Arc::clone(&toy.most_alive));
    let toy = Arc::new(toy);
    let loader = Loader::new(Arc::clone(&toy), 4);
    let mut batches = loader.batches(EpochPlan::sequential(1000, 5), 0);
    let first = batches.next().unwrap().unwrap();
    // The consumer is slow: the threads run ahead to the end of the window and no further.
    let deadline = Instant::now() + Duration::from_secs(10);
    while toy.made.load(Ordering::SeqCst) < 15 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_millis(20));
    assert_eq!(toy.made.load(Ordering::SeqCst), 15, "5 delivered and 2 batches ahead");
    assert!(most_alive.load(Ordering::SeqCst) <= 15);
    // Dropping waits for the threads, so nothing is made or alive afterwards.
    drop(batches);
    drop(first);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    let made = toy.made.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(toy.made.load(Ordering::SeqCst), made);
    drop(loader);
    assert_eq!(Arc::strong_count(&toy), 1, "a thread still holds the dataset");
}

#[test]
fn all_threads_work() {
    struct Names(Mutex<Vec<String>>);
    impl Dataset for Names {
        type Sample = ();
        fn len(&self) -> usize {
            64
        }
        fn sample(&self, _: usize, _: &Key, _: &mut Stages) -> Result<(), DataError> {
            thread::sleep(Duration::from_millis(2));
            let name = thread::current().name().unwrap_or_default().to_owned();
            self.0.lock().unwrap().push(name);
            Ok(())
        }
    }
    let loader = Loader::new(Arc::new(Names(Mutex::default())), 3);
    assert_eq!(loader.batches(EpochPlan::sequential(64, 8), 0).count(), 8);
    let mut names = loader.dataset().0.lock().unwrap().clone();
    names.sort();
    names.dedup();
    assert_eq!(names, ["loader-0", "loader-1", "loader-2"]);
}

#[test]
fn the_report_tells_where_the_time_went() {
    for threads in [0, 2] {
        let loader = Loader::new(Arc::new(toy(30)), threads);
        let mut batches = loader.batches(EpochPlan::sequential(30, 4), 0);
        let count = batches.by_ref().count();
        let report = *batches.report();
        assert_eq!((report.samples, report.batches, count), (30, 8, 8));
        assert!(report.stages.seconds(Stage::Decode) > 0.0);
        assert!(report.waiting > 0.0);
        assert!(report.rate(Stage::Decode).unwrap() > 0.0);
        assert_eq!(report.rate(Stage::Read), None);
        let mut both = LoaderReport::default();
        both.add(&report);
        both.add(&report);
        assert_eq!(both.samples, 60);
        let text = both.to_string();
        assert!(
            text.starts_with("60 samples, waited ") && text.contains("; per thread: decode "),
            "{text}"
        );
    }
}

fn tolerant(share: f64, listed: usize) -> Unreadable {
    Unreadable::new(Tolerance { share, key: "max_unreadable" }, listed, Vec::new()).unwrap()
}

/// As [`collect`] for epochs 0 to 2, leaving out what may be, with the lines about it.
fn collect_leaving_out(
    toy: Toy,
    threads: usize,
    unreadable: &Unreadable,
) -> (Vec<Numbers>, Vec<String>, Option<String>) {
    let loader = Loader::new(Arc::new(toy), threads).leaving_out(unreadable.clone());
    let (mut epochs, mut news) = (Vec::new(), Vec::new());
    for epoch in 0..3 {
        let mut batches = Vec::new();
        for batch in loader.batches(EpochPlan::shuffled(7, epoch, 40, 4), 0) {
            match batch {
                Ok(samples) => batches.push(samples.iter().map(|s| (s.index, s.random)).collect()),
                Err(error) => return (epochs, news, Some(error.to_string())),
            }
            news.extend(unreadable.take_news());
        }
        epochs.push(batches);
    }
    (epochs, news, None)
}

#[test]
fn a_batch_without_its_unreadable_samples_is_smaller_and_otherwise_the_same() {
    let torn = || Toy { fail: vec![13, 6], ..toy(40) };
    let whole = collect_leaving_out(toy(40), 0, &tolerant(0.0, 40)).0;
    let (alone, news, error) = collect_leaving_out(torn(), 0, &tolerant(0.05, 40));
    assert_eq!((alone.len(), error), (3, None));
    for (batch, with) in alone.iter().flatten().zip(whole.iter().flatten()) {
        let left: Vec<_> =
            with.iter().copied().filter(|sample| ![13, 6].contains(&sample.0)).collect();
        assert_eq!(*batch, left);
    }
    let mut sorted = news.clone();
    sorted.sort();
    assert_eq!(sorted, ["toy 13: torn; left out", "toy 6: torn; left out"], "each is named once");
    for threads in [1, 2, 4] {
        let found = collect_leaving_out(torn(), threads, &tolerant(0.05, 40));
        assert_eq!(found, (alone.clone(), news.clone(), None), "{threads} threads");
    }
}

#[test]
fn more_unreadable_samples_than_allowed_end_the_run() {
    let fail: Vec<usize> = (0..30).step_by(2).collect();
    for threads in [0, 4] {
        let unreadable = tolerant(0.29, 40);
        let (epochs, _, error) =
            collect_leaving_out(Toy { fail: fail.clone(), ..toy(40) }, threads, &unreadable);
        assert!(epochs.is_empty());
        let error = error.unwrap();
        let start = "12 of 40 samples cannot be read, at most 11 may be left out: toy ";
        assert!(error.starts_with(start) && error.ends_with(", and 2 more"), "{error}");
    }
    // What an earlier part of the run left out counts.
    let unreadable = tolerant(0.05, 40);
    unreadable.restore(&[2, 6], |index| format!("toy {index}"));
    let torn = || Toy { fail: vec![6], ..toy(40) };
    assert_eq!(collect_leaving_out(torn(), 1, &unreadable).2, None);
    assert_eq!((unreadable.found(), unreadable.count()), (vec![2, 6], 2));
    let error = collect_leaving_out(Toy { fail: vec![9], ..toy(40) }, 1, &unreadable).2.unwrap();
    assert!(error.contains(": toy 2, toy 6, toy 9: torn"), "{error}");
}

#[test]
fn only_what_concerns_one_sample_is_left_out() {
    let bug = Toy { panic: vec![5], ..toy(40) };
    let error = collect_leaving_out(bug, 1, &tolerant(1.0, 40)).2.unwrap();
    assert_eq!(error, "toy 5: the loader panicked: cannot make 5");
    let strict = Toy { fail: vec![5], ..toy(40) };
    let error = collect_leaving_out(strict, 1, &tolerant(0.0, 40)).2.unwrap();
    assert_eq!(error, "toy 5: torn");
}

#[test]
fn shares_are_counted_as_people_count_them() {
    for (share, total, count) in
        [(0.0, 100, 0), (0.29, 100, 29), (0.1, 24, 2), (0.001, 999, 0), (1.0, 5, 4), (0.5, 0, 0)]
    {
        assert_eq!(allowed(share, total), count, "{share} of {total}");
    }
    let tolerance = Tolerance { share: 0.2, key: "max_unreadable" };
    let unlisted = || vec!["a.txt: torn".to_owned(), "b.txt: torn".to_owned()];
    let error = Unreadable::new(tolerance, 7, unlisted()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 of 9 samples cannot be read, at most 1 may be left out: a.txt: torn, b.txt: torn"
    );
    assert_eq!(
        error.hints(),
        ["repair or remove these files, or set `max_unreadable` to 0.223 or more"]
    );
    let unreadable = Unreadable::new(tolerance, 8, unlisted()).unwrap();
    assert_eq!(unreadable.count(), 2);
    assert_eq!(unreadable.take_news(), ["a.txt: torn; left out", "b.txt: torn; left out"]);
}
