//! What threads are recording, and what they give back meanwhile.

use super::memory::Pool;
use super::{Device, Function, Grid};
use crate::error::{Error, Result};
use cudarc::driver::sys;
use std::thread::ThreadId;

/// Launches in order, each with its own copy of the arguments.
#[derive(Default)]
pub struct Launches {
    list: Vec<Launch>,
    args: Vec<u8>,
}

/// A launch without the contents of its arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Launch {
    pub function: Function,
    pub grid: Grid,
    /// Where its arguments end; they begin where those of the one before end.
    end: usize,
}

impl Launches {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the same kernels run on the same grids, whatever the arguments.
    pub fn are_like(&self, other: &Launches) -> bool {
        self.list == other.list
    }

    pub fn clear(&mut self) {
        self.list.clear();
        self.args.clear();
    }

    fn push(&mut self, function: Function, grid: Grid, args: &[u8]) {
        self.args.extend_from_slice(args);
        self.list.push(Launch { function, grid, end: self.args.len() });
    }

    /// Each with its arguments.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Launch, &[u8])> {
        let starts = std::iter::once(0).chain(self.list.iter().map(|launch| launch.end));
        self.list.iter().zip(starts).map(|(launch, start)| (*launch, &self.args[start..launch.end]))
    }
}

/// What a device was asked to do since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Blocks of memory that were asked of the driver.
    pub allocations: u64,
    /// Kernels.
    pub launches: u64,
    /// Of them, those that may begin while the one before is still at work.
    pub overlaps: u64,
    /// Sequences that ran as one.
    pub sequences: u64,
    /// Graphs that were made for them.
    pub graphs: u64,
    /// Nodes of graphs that got new arguments.
    pub changes: u64,
}

/// What changes while the device works.
#[derive(Default)]
pub(super) struct State {
    pub pool: Pool,
    pub counters: Counters,
    /// One for each thread that is in a sequence.
    recorders: Vec<Recorder>,
}

struct Recorder {
    thread: ThreadId,
    /// None if launches are queued as they come.
    launches: Option<Launches>,
    /// Memory that the thread gave back: what it recorded may still need it.
    held: Pool,
}

impl State {
    fn recorder(&mut self) -> Option<&mut Recorder> {
        if self.recorders.is_empty() {
            return None;
        }
        let thread = std::thread::current().id();
        self.recorders.iter_mut().find(|recorder| recorder.thread == thread)
    }

    /// The list of the calling thread, if it records.
    fn launches(&mut self) -> Option<&mut Launches> {
        self.recorder()?.launches.as_mut()
    }

    pub fn take(&mut self, size: usize) -> Option<sys::CUdeviceptr> {
        self.recorder().and_then(|recorder| recorder.held.take(size)).or_else(|| self.pool.take(size))
    }

    pub fn give(&mut self, size: usize, address: sys::CUdeviceptr) {
        match self.recorder() {
            Some(recorder) if recorder.launches.is_some() => recorder.held.give(size, address),
            _ => self.pool.give(size, address),
        }
    }

    /// Notes a launch; whether it was recorded, so that it must not be queued.
    pub fn note(&mut self, function: Function, grid: Grid, args: &[u8]) -> bool {
        self.counters.launches += 1;
        self.counters.overlaps += u64::from(function.overlaps());
        let launches = self.launches();
        let recorded = launches.is_some();
        if let Some(launches) = launches {
            launches.push(function, grid, args);
        }
        recorded
    }
}

/// A sequence under way on this thread, until it is dropped.
pub struct Sequence<'d> {
    device: &'d Device,
}

impl Device {
    /// From here on this thread only launches kernels. With a list they are recorded there.
    pub fn begin_sequence(&self, launches: Option<Launches>) -> Result<Sequence<'_>> {
        self.outside_sequence()?;
        let recorder = Recorder { thread: std::thread::current().id(), launches, held: Pool::default() };
        self.state().recorders.push(recorder);
        Ok(Sequence { device: self })
    }

    /// Refuses what is no launch inside a sequence: it would come before everything recorded.
    pub(super) fn outside_sequence(&self) -> Result<()> {
        match self.state().recorder() {
            None => Ok(()),
            Some(_) => Err(Error::Failed("a sequence of operations may only launch kernels".into())),
        }
    }
}

impl Sequence<'_> {
    /// What was recorded. Memory that was given back meanwhile stays held until the sequence is dropped.
    pub fn launches(&self) -> Launches {
        let mut state = self.device.state();
        state.launches().map(std::mem::take).unwrap_or_default()
    }
}

impl Drop for Sequence<'_> {
    fn drop(&mut self) {
        let mut state = self.device.state();
        let thread = std::thread::current().id();
        if let Some(at) = state.recorders.iter().position(|recorder| recorder.thread == thread) {
            let recorder = state.recorders.swap_remove(at);
            state.pool.absorb(recorder.held);
        }
    }
}
