//! Initial weights.

use super::{Layout, Network, Spec};
use crate::backend::{Real, Span};
use crate::data::InputScale;
use crate::rng::{philox, stream, unit};
use rand_mt::Mt;
use serde::{Deserialize, Serialize};

/// Distribution of the initial weights and biases. All are uniform in (−a, a).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitKind {
    /// a = gain/√fan_in: PyTorch's `nn.Linear` default, what paper A calls Kaiming (Sec. IV.B).
    Kaiming,
    /// a = gain · range, whatever the width (paper B, Fig. 5a).
    Fixed,
}

/// Where random numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RngKind {
    /// A function of seed, layer and index.
    Counter,
    /// PyTorch 2.15's CPU generator, bit for bit.
    Torch,
}

/// How a network starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Init {
    /// Distribution.
    pub kind: InitKind,
    /// Scales weights and biases.
    pub gain: f64,
    /// Half width for [`InitKind::Fixed`].
    pub range: f64,
    /// Generator.
    pub rng: RngKind,
}

/// A new network of this shape: weights and biases drawn, γ = 1, β = 0, running mean 0 and variance 1.
///
/// Values are rounded to `R`, the precision they will be trained in.
pub fn network<R: Real>(spec: &Spec, init: Init, input: InputScale, seed: u64) -> Network {
    let layout = Layout::of(spec);
    let mut params = vec![0.0; layout.params];
    let mut running = vec![0.0; layout.stats];
    let mut draw = Draw::new::<R>(init.rng, seed);
    for (i, spans) in layout.layers.iter().enumerate() {
        let bounds = match init.kind {
            InitKind::Kaiming => kaiming_bounds(spec.widths[i]),
            InitKind::Fixed => [init.range; 2],
        };
        // Weight, then bias: the order in which PyTorch draws them.
        for (part, span) in [Some(spans.weight), spans.bias].into_iter().enumerate() {
            let Some(Span { start, len }) = span else { continue };
            let bound = bounds[part];
            for (e, value) in params[start..start + len].iter_mut().enumerate() {
                let drawn = draw.uniform(i as u32 + 2, part as u32, e, bound);
                *value = (R::of(drawn) * R::of(init.gain)).wide();
            }
        }
        if let Some(norm) = spans.norm {
            params[norm.gamma.range()].fill(1.0);
        }
        if let Some([_, var]) = spans.stats {
            running[var.range()].fill(1.0);
        }
    }
    Network { spec: spec.clone(), params, running, input, step: Some(0), config: None }
}

/// a = 1/√fan_in for weight and bias. PyTorch takes a detour for the weight, `kaiming_uniform_` with slope √5,
/// which is the same number but for the last bit.
fn kaiming_bounds(inputs: usize) -> [f64; 2] {
    let root = (inputs as f64).sqrt();
    let slope = 5.0_f64.sqrt();
    let gain = (2.0 / (1.0 + slope * slope)).sqrt();
    [3.0_f64.sqrt() * (gain / root), 1.0 / root]
}

enum Draw {
    Counter { seed: u64 },
    Torch { state: Box<Mt>, double: bool },
}

impl Draw {
    fn new<R: Real>(kind: RngKind, seed: u64) -> Draw {
        match kind {
            RngKind::Counter => Draw::Counter { seed },
            RngKind::Torch => {
                let state = Box::new(Mt::new(seed as u32));
                Draw::Torch { state, double: size_of::<R>() == 8 }
            }
        }
    }

    /// Uniform in (−bound, bound). Counter: word e mod 4 of the block (layer, e/4, part, INIT).
    fn uniform(&mut self, layer: u32, part: u32, e: usize, bound: f64) -> f64 {
        match self {
            Draw::Counter { seed } => {
                let block = philox(*seed, [layer, (e / 4) as u32, part, stream::INIT]);
                (2.0 * unit(block[e % 4]) - 1.0) * bound
            }
            // PyTorch: 24 bits of one word for f32, scaled in double by bounds rounded to f32; 53 bits of two
            // words for f64, scaled by a fused multiply-add.
            Draw::Torch { state, double: false } => {
                let bound = f64::from(bound as f32);
                let x = f64::from(state.next_u32() & 0xff_ffff) / f64::from(1 << 24);
                x * (2.0 * bound) - bound
            }
            Draw::Torch { state, double: true } => {
                let word = (u64::from(state.next_u32()) << 32) | u64::from(state.next_u32());
                let x = (word & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64;
                x.mul_add(2.0 * bound, -bound)
            }
        }
    }
}

/// How many words of PyTorch's generator [`network`] takes for this shape.
pub(crate) fn torch_words<R: Real>(spec: &Spec) -> usize {
    let layout = Layout::of(spec);
    let drawn: usize = layout.layers.iter().map(|l| l.weight.len + l.bias.map_or(0, |b| b.len)).sum();
    drawn * size_of::<R>() / 4
}
