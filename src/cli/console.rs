//! What long work says while it runs: a bar on a terminal, now and then a line elsewhere.

use super::output;
use super::signals::{self, Request};
use crate::Error;
use crate::data::{Event, Progress};
use crate::train::Control;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines where there is no bar.
const INTERVAL: Duration = Duration::from_secs(10);

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Errors only.
    Quiet,
    /// What begins, how far it is.
    Normal,
    /// Details too.
    Verbose,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// A bar that is drawn over, if stderr is a terminal.
    Bar,
    /// A line every ten seconds.
    Lines,
}

/// The user's side of long work.
pub struct Console {
    level: Level,
    show: Show,
    deadline: Option<Instant>,
    again: &'static str,
    work: Mutex<Option<Work>>,
}

/// A piece of work under way.
struct Work {
    what: String,
    total: u64,
    /// Units that were done before this process took over.
    before: Option<u64>,
    began: Instant,
    said: Instant,
    bar: Option<ProgressBar>,
}

impl Console {
    /// A console for work that nothing but a signal stops.
    pub fn new(level: Level, show: Show) -> Console {
        let show = if std::io::stderr().is_terminal() { show } else { Show::Lines };
        Console { level, show, deadline: None, again: "", work: Mutex::new(None) }
    }

    /// The same for work that is to stop, its state saved, after `limit`; `again` says how it is continued.
    pub fn resumable(mut self, limit: Option<Duration>, again: &'static str) -> Console {
        self.deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        self.again = again;
        self
    }

    /// A line for those who asked for details.
    pub fn detail(&self, line: &str) {
        if self.level >= Level::Verbose {
            self.line(line);
        }
    }

    /// How far work is whose size may still grow.
    pub fn at(&self, what: &str, done: u64, total: u64) {
        if self.work().as_ref().is_none_or(|work| work.what != what) {
            self.begin(what, total);
        }
        if let Some(work) = &mut *self.work() {
            work.total = total;
            if let Some(bar) = &work.bar {
                bar.set_length(total);
            }
        }
        self.advance(done);
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = self.work().take().and_then(|work| work.bar) {
            bar.finish_and_clear();
        }
    }

    /// Shows how many units are done.
    fn advance(&self, done: u64) {
        let mut guard = self.work();
        let Some(work) = &mut *guard else { return };
        let before = *work.before.get_or_insert(done);
        if let Some(bar) = &work.bar {
            bar.set_position(done);
            if before == done {
                bar.reset_eta(); // what was there before says nothing about the speed
            }
        } else if self.level > Level::Quiet && work.said.elapsed() >= INTERVAL {
            work.said = Instant::now();
            output::log(&work.line(done, before));
        }
    }

    fn line(&self, line: &str) {
        match self.work().as_ref().and_then(|work| work.bar.as_ref()) {
            Some(bar) => bar.suspend(|| output::log(line)),
            None => output::log(line),
        }
    }

    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        // What is shown is of no consequence, so a panic elsewhere need not spread.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bar(&self, what: &str, total: u64) -> Option<ProgressBar> {
        if self.level == Level::Quiet || self.show == Show::Lines {
            return None;
        }
        let bar = ProgressBar::new(total);
        let template = "{msg}  {bar:30}  {pos}/{len}  {per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("##-"));
        }
        bar.set_message(what.to_owned());
        Some(bar)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.end();
    }
}

impl Control for Console {
    fn stop(&self) -> Option<Error> {
        let again = self.again;
        match signals::requested() {
            Some(Request::End(signal)) => {
                return Some(Error::Interrupted { signal, saved: format!("the state is saved; {again}") });
            }
            Some(Request::Again) => {
                return Some(Error::Again(format!("stopped by SIGUSR1; the state is saved; {again}")));
            }
            None => {}
        }
        let over = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        over.then(|| Error::Again(format!("the time of --max-time is up; the state is saved; {again}")))
    }

    fn begin(&self, what: &str, total: u64) {
        self.end();
        let (now, bar) = (Instant::now(), self.bar(what, total));
        *self.work() = Some(Work { what: what.to_owned(), total, before: None, began: now, said: now, bar });
    }

    fn progress(&self, done: u64) {
        self.advance(done);
        if self.work().as_ref().is_some_and(|work| done >= work.total) {
            self.end();
        }
    }

    fn say(&self, line: &str) {
        if self.level > Level::Quiet {
            self.line(line);
        }
    }
}

impl Work {
    /// `train 784-8-10: 120 of 1000, 24.0/s, 37s left`
    fn line(&self, done: u64, before: u64) -> String {
        let rate = done.saturating_sub(before) as f64 / self.began.elapsed().as_secs_f64();
        let left = self.total.saturating_sub(done) as f64 / rate;
        let left = Duration::try_from_secs_f64(left.ceil())
            .map_or("unknown time".into(), |left| humantime::format_duration(left).to_string());
        format!("{}: {done} of {}, {rate:.1}/s, {left} left", self.what, self.total)
    }
}

/// Downloads.
impl Progress for Console {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Waiting => self.say("another process fills the cache; waiting for it"),
            Event::Asking { source } => self.detail(&format!("asking {source}")),
            Event::Received { file, bytes, total: Some(total) } => {
                self.at(&format!("get {file}"), bytes, total)
            }
            Event::Received { .. } => {}
            Event::Failed { source, reason } => self.say(&format!("{source}: {reason}")),
            Event::Stored { path } => self.say(&format!("stored {}", path.display())),
        }
    }
}
