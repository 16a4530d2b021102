//! Attraction basins: how much noise on the samples or on the weights a network's accuracy survives.
//!
//! Noise is a function of seed, trial and sample (or weight), shared by all amplitudes, so curves are smooth and
//! do not depend on how the work is cut.

mod probe;
mod size;
mod sweep;

pub use size::{Point, Size, basin_size};

pub(super) use probe::Probe;
pub(super) use sweep::Selection;

use crate::analysis::{Options, Progress, Space, Threshold};
use crate::backend::{Backend, Real, Rows};
use crate::model::{Net, Network, Samples};
use crate::{Error, Result};
use probe::Group;
use serde::Serialize;

/// Accuracy against noise amplitude, and the amplitude at which it is lost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Basin {
    /// Where the noise acts.
    pub space: Space,
    /// T
    pub trials: usize,
    /// One point for each amplitude that was asked for, in that order.
    pub curve: Vec<Point>,
    /// By the threshold that was asked for.
    pub size: Option<f64>,
    /// By half of the noise-free accuracy (paper B).
    pub size_relative: Option<f64>,
    /// Why a size is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// On request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_class: Option<Vec<ClassBasin>>,
    /// On request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_sample: Option<Vec<SampleBasin>>,
}

/// The basin of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassBasin {
    /// Its label.
    pub class: usize,
    /// As for all samples; none if the class has no samples.
    pub curve: Option<Vec<Point>>,
    /// By the threshold that was asked for.
    pub size: Option<f64>,
}

/// The basin of one sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampleBasin {
    /// Its number in the file.
    pub index: usize,
    /// Its label.
    pub label: u8,
    /// The amplitude at which half of the trials keep the original prediction, right or wrong.
    pub size: Option<f64>,
}

/// Attraction basin of a network around the first `options.limit` samples. Source: paper A, Sec. II.D.
///
/// Noise on samples is N(0, σ²) per pixel in units of the range [0, 1], not clipped. Noise on weights is
/// W' = W + σ·std(W)·ξ for every matrix W (or W + σ·ξ, [`Scaling::Absolute`](super::Scaling)); biases and batch
/// norms stay. `network` is `net` on the host. `per_class` lists the classes in `options.classes`.
///
/// # Errors
/// [`Error::Usage`] for an amplitude that is negative or not finite, for no trials and for no samples.
pub fn basin<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    network: &Network,
    samples: &Samples<B>,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Basin> {
    check(options)?;
    let len = options.rows(samples.len)?;
    let labels = samples.host_labels[..len].to_vec();
    let selection = Selection { samples, rows: Rows::From(0), len };
    let mut probe = Probe::new(net, network, selection, labels, options, progress)?;

    probe.measure(&options.amplitudes)?;
    let curve = |probe: &Probe<'_, '_, B, R>, group| -> Vec<Point> {
        options.amplitudes.iter().filter_map(|&amplitude| probe.point(group, amplitude)).collect()
    };
    let sizes = probe.sizes(&[(Group::All, options.threshold), (Group::All, Threshold::Relative)])?;
    let per_class = match options.detail.per_class {
        false => None,
        true => {
            let classes = options.classes_of(net.spec.classes())?;
            let targets: Vec<_> =
                classes.iter().map(|&class| (Group::Class(class), options.threshold)).collect();
            let sizes = probe.sizes(&targets)?;
            let basin = |(class, size): (usize, Size)| {
                let curve = probe.has(Group::Class(class)).then(|| curve(&probe, Group::Class(class)));
                ClassBasin { class, curve, size: size.value() }
            };
            Some(classes.into_iter().zip(sizes).map(basin).collect())
        }
    };
    let per_sample = match options.detail.per_sample {
        false => None,
        true => {
            let sizes = probe.sample_sizes()?.into_iter().zip(&samples.host_labels).enumerate();
            let basin = |(index, (size, &label)): (usize, (Size, &u8))| SampleBasin {
                index,
                label,
                size: size.value(),
            };
            Some(sizes.map(basin).collect())
        }
    };
    Ok(Basin {
        space: options.space,
        trials: options.trials,
        curve: curve(&probe, Group::All),
        size: sizes[0].value(),
        size_relative: sizes[1].value(),
        reason: sizes.iter().find_map(Size::reason).map(str::to_owned),
        per_class,
        per_sample,
    })
}

/// Refuses noise that means nothing.
pub(super) fn check(options: &Options) -> Result<()> {
    if let Some(amplitude) = options.amplitudes.iter().find(|a| !(a.is_finite() && **a >= 0.0)) {
        return Err(Error::Usage(format!("amplitude {amplitude}: --amplitudes takes numbers from 0 on")));
    }
    if options.trials == 0 {
        return Err(Error::Usage("--trials 0: noise needs at least one trial".into()));
    }
    Ok(())
}
