//! The order in which training samples come: a function of seed and epoch, so that a resumed run has
//! nothing to restore.

use super::Order;
use crate::backend::Real;
use crate::model::{RngKind, Spec, torch_words};
use crate::rng::{Stream, stream};
use rand::seq::SliceRandom;
use rand_mt::Mt;

/// Makes the order of every epoch.
pub struct Shuffler {
    order: Order,
    seed: u64,
    samples: usize,
    /// Words PyTorch's global generator has given before the first epoch.
    torch_used: usize,
}

impl Shuffler {
    /// For `samples` samples. With PyTorch's order the generator first makes the initial weights, if those
    /// are PyTorch's too.
    pub fn new<R: Real>(order: Order, seed: u64, samples: usize, spec: &Spec, init: RngKind) -> Self {
        let torch_used = if init == RngKind::Torch { torch_words::<R>(spec) } else { 0 };
        Shuffler { order, seed, samples, torch_used }
    }

    /// The samples of an epoch, counted from 0, in order.
    pub fn epoch(&self, epoch: u64) -> Vec<u32> {
        let mut samples: Vec<u32> = (0..self.samples as u32).collect();
        match self.order {
            Order::File => {}
            Order::Counter => {
                samples.shuffle(&mut Stream::new(self.seed, 0, epoch as u32, stream::ORDER));
            }
            Order::Torch => self.torch_epoch(epoch, &mut samples),
        }
        samples
    }

    /// PyTorch 2.15: an epoch takes two 64-bit draws of the global generator (high word first, 63 bits kept);
    /// the second seeds a new generator for `randperm`.
    fn torch_epoch(&self, epoch: u64, samples: &mut [u32]) {
        let mut global = Mt::new(self.seed as u32);
        for _ in 0..self.torch_used + 4 * epoch as usize + 2 {
            global.next_u32();
        }
        let _high = global.next_u32();
        let mut generator = Mt::new(global.next_u32()); // a generator is seeded with the low 32 bits
        for i in 0..samples.len().saturating_sub(1) {
            let j = generator.next_u32() as usize % (samples.len() - i);
            samples.swap(i, i + j);
        }
    }
}
