//! A network on a device.

use super::{Layout, Network, Samples, Spec};
use crate::Result;
use crate::backend::{
    Backend, BatchNorm, Input, Moments, Norm, NormSpans, Part, PartMut, Real, Rows, Running, Span,
};
use crate::data::InputScale;

/// Parameters and running statistics on a backend, in the engine's precision.
pub struct Net<'b, B: Backend, R: Real> {
    /// Where it lives.
    pub backend: &'b B,
    /// Shape.
    pub spec: Spec,
    /// Where everything stands in the buffers.
    pub layout: Layout,
    /// All parameters.
    pub params: B::Buf<R>,
    /// Running statistics of the batch norms.
    pub running: B::Buf<R>,
    /// Input range.
    pub input: InputScale,
}

impl<'b, B: Backend, R: Real> Net<'b, B, R> {
    /// Uploads a network, rounding to the precision `R`.
    pub fn new(backend: &'b B, network: &Network) -> Result<Self> {
        let rounded = |values: &[f64]| values.iter().map(|&v| R::of(v)).collect::<Vec<R>>();
        Ok(Net {
            backend,
            spec: network.spec.clone(),
            layout: network.layout(),
            params: backend.upload(&rounded(&network.params))?,
            running: backend.upload(&rounded(&network.running))?,
            input: network.input,
        })
    }

    /// Parameters and statistics on the host, without loss.
    pub fn to_network(&self) -> Result<Network> {
        let wide = |values: Vec<R>| values.into_iter().map(R::wide).collect::<Vec<f64>>();
        Ok(Network {
            spec: self.spec.clone(),
            params: wide(self.backend.download(Part::new(&self.params, 0, self.layout.params))?),
            running: wide(self.backend.download(Part::new(&self.running, 0, self.layout.stats))?),
            input: self.input,
            step: None,
            config: None,
        })
    }

    /// x(1): the pixels of some samples in the network's input range.
    pub fn pixels<'a>(&self, samples: &'a Samples<B>, rows: Rows<'a, B>) -> Input<'a, B, R> {
        let (scale, shift) = self.input.of_byte();
        Input::Pixels { pixels: &samples.pixels, rows, scale: R::of(scale), shift: R::of(shift) }
    }
}

/// The statistics one batch norm works with.
pub(super) struct NormStats<B: Backend, R: Real> {
    /// Mean, then variance, each [features].
    mean_var: B::Buf<R>,
    inv_std: B::Buf<R>,
    features: usize,
}

impl<B: Backend, R: Real> NormStats<B, R> {
    /// The running statistics of linear layer `i`, if it is normalised.
    pub fn running(net: &Net<'_, B, R>, i: usize) -> Result<Option<Self>> {
        let Some([mean, var]) = net.layout.layers[i].stats else { return Ok(None) };
        let features = mean.len;
        let host = net.backend.download(Part::new(&net.running, mean.start, mean.len + var.len))?;
        let mut stats = NormStats {
            mean_var: net.backend.upload(&host)?,
            inv_std: net.backend.zeros(features)?,
            features,
        };
        stats.invert(net, 1)?; // the number of rows matters to running statistics only
        Ok(Some(stats))
    }

    /// Mean, then variance, on the host.
    pub fn download(&self, backend: &B) -> Result<Vec<f64>> {
        let host = backend.download(Part::new(&self.mean_var, 0, 2 * self.features))?;
        Ok(host.into_iter().map(R::wide).collect())
    }

    /// Where an operation writes fresh statistics.
    pub fn moments(&mut self) -> Moments<'_, B, R> {
        let [mean, var] = self.spans();
        Moments { buf: &mut self.mean_var, mean, var }
    }

    /// Computes 1/√(σ² + ε) from the variance, over `rows` samples.
    pub fn invert(&mut self, net: &Net<'_, B, R>, rows: usize) -> Result<()> {
        let [mean, var] = self.spans();
        let desc = BatchNorm { rows, features: self.features, eps: net.spec.bn.eps, momentum: 0.0 };
        let (mean, var) = (Part::at(&self.mean_var, mean), Part::at(&self.mean_var, var));
        net.backend.batch_norm(desc, mean, var, PartMut::new(&mut self.inv_std, 0, self.features), None)
    }

    /// The same from fresh statistics, which also move the running ones.
    pub fn feed(&mut self, backend: &B, desc: BatchNorm, running: Running<'_, B, R>) -> Result<()> {
        let [mean, var] = self.spans();
        let (mean, var) = (Part::at(&self.mean_var, mean), Part::at(&self.mean_var, var));
        backend.batch_norm(desc, mean, var, PartMut::new(&mut self.inv_std, 0, self.features), Some(running))
    }

    /// The batch norm with these statistics and the γ and β at `at` of `params`.
    pub fn norm<'a>(&'a self, params: &'a B::Buf<R>, at: NormSpans) -> Norm<'a, B, R> {
        let [mean, _] = self.spans();
        Norm {
            mean: Part::at(&self.mean_var, mean),
            inv_std: Part::new(&self.inv_std, 0, self.features),
            gamma: Part::at(params, at.gamma),
            beta: Part::at(params, at.beta),
        }
    }

    fn spans(&self) -> [Span; 2] {
        let len = self.features;
        [Span { start: 0, len }, Span { start: len, len }]
    }
}
