//! How fast a piece of work goes and how long the rest takes, as text.

use std::time::{Duration, Instant};

/// The first `advance` is where measuring starts: it is where a resumed epoch begins, and the first
/// step of a run is slower than the others.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    what: String,
    total: u64,
    done: u64,
    first: Option<(u64, Instant)>,
    elapsed: Duration,
}

impl Pace {
    pub(crate) fn new(what: &str, total: u64) -> Pace {
        Pace { what: what.to_owned(), total, ..Pace::default() }
    }

    pub(crate) fn advance(&mut self, done: u64, now: Instant) {
        let (_, start) = *self.first.get_or_insert((done, now));
        self.done = done;
        self.elapsed = now.duration_since(start);
    }

    /// `epoch 3/10: 40/120, loss 0.412, 5.3/s, 15 s left`
    pub(crate) fn line(&self, detail: &str) -> String {
        format!("{}: {}/{}{}", self.what, self.done, self.total, self.tail(detail))
    }

    /// What follows the numbers: `, loss 0.412, 5.3/s, 15 s left`
    pub(crate) fn tail(&self, detail: &str) -> String {
        let mut parts = Vec::new();
        if !detail.is_empty() {
            parts.push(detail.to_owned());
        }
        let done = self.first.map_or(0, |(first, _)| self.done.saturating_sub(first));
        if done > 0 && !self.elapsed.is_zero() {
            let per_second = done as f64 / self.elapsed.as_secs_f64();
            let left = self.total.saturating_sub(self.done) as f64 / per_second;
            parts.push(rate(per_second));
            parts.push(format!("{} left", duration(left)));
        }
        parts.iter().map(|part| format!(", {part}")).collect()
    }
}

/// Always a number above one: `5.3/s` or `2.1 s each`.
fn rate(per_second: f64) -> String {
    if per_second >= 100.0 {
        format!("{per_second:.0}/s")
    } else if per_second >= 1.0 {
        format!("{per_second:.1}/s")
    } else {
        format!("{:.1} s each", 1.0 / per_second)
    }
}

/// `15 s`, `4 min 10 s`, `2 h 05 min`, `3 d 4 h`
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {:02} s", seconds % 60),
        3600..86_400 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace_after(steps: &[(u64, f64)]) -> Pace {
        let start = Instant::now();
        let mut pace = Pace::new("epoch 3/10", 120);
        for (done, seconds) in steps {
            pace.advance(*done, start + Duration::from_secs_f64(*seconds));
        }
        pace
    }

    #[test]
    fn rate_and_time_left_come_from_the_steps_after_the_first() {
        let cases: &[(&[(u64, f64)], &str)] = &[
            (&[(1, 9.0)], "epoch 3/10: 1/120, loss 0.4"),
            (&[(1, 9.0), (41, 19.0)], "epoch 3/10: 41/120, loss 0.4, 4.0/s, 20 s left"),
            // Resumed at 100: those steps cost nothing.
            (&[(100, 0.0), (110, 50.0)], "epoch 3/10: 110/120, loss 0.4, 5.0 s each, 50 s left"),
            (&[(0, 0.0), (1, 90.0)], "epoch 3/10: 1/120, loss 0.4, 90.0 s each, 2 h 58 min left"),
            (&[(0, 0.0), (120, 1.0)], "epoch 3/10: 120/120, loss 0.4, 120/s, 0 s left"),
        ];
        for (steps, line) in cases {
            assert_eq!(pace_after(steps).line("loss 0.4"), *line);
        }
    }

    #[test]
    fn a_detail_is_optional() {
        assert_eq!(pace_after(&[(0, 0.0), (60, 30.0)]).tail(""), ", 2.0/s, 30 s left");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let cases = [
            (0.2, "0 s"),
            (59.4, "59 s"),
            (250.0, "4 min 10 s"),
            (7_500.0, "2 h 05 min"),
            (273_600.0, "3 d 4 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }
}
