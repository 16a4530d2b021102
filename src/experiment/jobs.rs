//! Work on several runs at a time, for processors that one small network does not fill.

use crate::train::Control;
use crate::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Does the pieces of work 0…`count` − 1, `jobs` of them at a time and begun in order, and answers their results in
/// order. One at a time, each shows its own progress; else the pieces finished are counted.
///
/// # Errors
/// That of the first piece to fail; those under way are then stopped, as [`Control::stop`] does it.
pub fn side_by_side<T: Send>(
    jobs: usize,
    count: usize,
    control: &dyn Control,
    work: impl Fn(usize, &dyn Control) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    if jobs <= 1 {
        return (0..count).map(|piece| work(piece, control)).collect();
    }
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (results, failure) = (Mutex::new(Vec::new()), Mutex::new(None));
    control.begin("runs", count as u64);
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(count) {
            scope.spawn(|| {
                let member = Member { control, failure: &failure };
                while member.stop().is_none() {
                    let piece = next.fetch_add(1, Ordering::Relaxed);
                    if piece >= count {
                        break;
                    }
                    match work(piece, &member) {
                        Ok(result) => lock(&results).push((piece, result)),
                        Err(error) => drop(lock(&failure).get_or_insert(error)),
                    }
                    control.progress(1 + finished.fetch_add(1, Ordering::Relaxed) as u64);
                }
            });
        }
    });
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Between two pieces nothing fails when the user stops.
    if let Some(error) = failure.or_else(|| control.stop().filter(|_| lock(&results).len() < count)) {
        return Err(error);
    }
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(piece, _)| *piece);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// A piece's own control: it ends with the others, and its progress is not shown.
struct Member<'a> {
    control: &'a dyn Control,
    failure: &'a Mutex<Option<Error>>,
}

impl Control for Member<'_> {
    fn stop(&self) -> Option<Error> {
        let failed = || lock(self.failure).is_some().then(|| Error::Failed("another run failed".into()));
        self.control.stop().or_else(failed)
    }

    fn begin(&self, _: &str, _: u64) {}

    fn progress(&self, _: u64) {}

    fn say(&self, line: &str) {
        self.control.say(line);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A piece that panicked takes the others with it; what it left is not looked at.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::side_by_side;
    use crate::Error;
    use crate::train::Control;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    #[derive(Default)]
    struct Log {
        stop: AtomicBool,
        done: AtomicU64,
    }

    impl Control for Log {
        fn stop(&self) -> Option<Error> {
            self.stop.load(Ordering::Relaxed).then(|| Error::Again("stopped".into()))
        }
        fn begin(&self, _: &str, _: u64) {}
        fn progress(&self, done: u64) {
            self.done.fetch_max(done, Ordering::Relaxed);
        }
        fn say(&self, _: &str) {}
    }

    #[test]
    fn pieces_run_together_and_answer_in_order() {
        let log = Log::default();
        // Each waits for two others: with fewer than three at a time this would never end.
        let barrier = Barrier::new(3);
        let work = |piece: usize, _: &dyn Control| {
            barrier.wait();
            Ok(10 * piece)
        };
        assert_eq!(side_by_side(3, 6, &log, work).unwrap(), [0, 10, 20, 30, 40, 50]);
        assert_eq!(log.done.load(Ordering::Relaxed), 6);
        assert_eq!(side_by_side(5, 0, &log, |_, _| Ok(())).unwrap(), []);
    }

    #[test]
    fn a_failure_stops_the_others() {
        let barrier = Barrier::new(2);
        let begun = AtomicU64::new(0);
        let work = |piece: usize, control: &dyn Control| {
            begun.fetch_add(1, Ordering::Relaxed);
            barrier.wait();
            if piece == 0 {
                return Err(Error::Failed("piece 0".into()));
            }
            loop {
                if let Some(error) = control.stop() {
                    return Err::<(), _>(error);
                }
                std::thread::yield_now();
            }
        };
        let error = side_by_side(2, 9, &Log::default(), work).unwrap_err();
        assert!(matches!(&error, Error::Failed(text) if text == "piece 0"), "{error}");
        assert_eq!(begun.load(Ordering::Relaxed), 2, "none begins after a failure");
    }

    #[test]
    fn who_is_stopped_between_pieces_says_so() {
        for jobs in [1, 2] {
            let log = Log::default();
            let work = |piece: usize, control: &dyn Control| {
                if let Some(error) = control.stop() {
                    return Err(error);
                }
                log.stop.store(piece >= 1, Ordering::Relaxed);
                Ok(())
            };
            let error = side_by_side(jobs, 9, &log, work).unwrap_err();
            assert!(matches!(error, Error::Again(_)), "{error}");
        }
    }
}
