//! The launches of a sequence as one: a graph that is made once and gets new arguments each time.

use super::driver::{Device, Graph, Launches};
use crate::Result;
use std::sync::Arc;

/// Shapes of a sequence that are kept: an epoch has whole batches and a last one.
const MOST_GRAPHS: usize = 4;

/// What is known of a sequence from its earlier runs.
#[derive(Default)]
pub struct Recording {
    met: bool,
    /// One for each shape, that which was used last at the end.
    graphs: Vec<Graph>,
    /// An empty list with room.
    spare: Launches,
}

impl Recording {
    /// Runs `work`: as it comes when it is met for the first time, which loads its kernels and fills the pool; later
    /// as a graph.
    ///
    /// The arguments are those of this run, so nothing that an earlier run used has to be there any more.
    pub(super) fn run(&mut self, device: &Arc<Device>, work: impl FnOnce() -> Result<()>) -> Result<()> {
        if !self.met {
            let sequence = device.begin_sequence(None)?;
            work()?;
            drop(sequence);
            self.met = true;
            return Ok(());
        }
        // Holds what the work gives back until its launches are queued.
        let sequence = device.begin_sequence(Some(std::mem::take(&mut self.spare)))?;
        work()?;
        let mut launches = sequence.launches();
        if launches.is_empty() {
            return Ok(());
        }
        let known = self.graphs.iter().position(|graph| graph.is_like(device, &launches));
        let graph = match known.map(|at| self.graphs.remove(at)) {
            Some(mut graph) => {
                graph.update(&mut launches)?;
                launches.clear();
                self.spare = launches;
                graph
            }
            None => Graph::new(device, launches)?,
        };
        // SAFETY: whoever recorded a launch promised what it needs, and the memory behind it is held.
        unsafe { graph.launch() }?;
        self.graphs.push(graph);
        if self.graphs.len() > MOST_GRAPHS {
            self.graphs.remove(0);
        }
        Ok(())
    }
}
