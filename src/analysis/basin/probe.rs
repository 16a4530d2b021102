//! What has been measured of a basin, and the search for its sizes.

use super::size::{Point, Size, basin_size};
use super::sweep::{Amplitude, At, Selection, Sweep};
use crate::Result;
use crate::analysis::{Options, Progress, Threshold};
use crate::backend::{Backend, Real};
use crate::model::{Net, Network};

/// Whose accuracy.
#[derive(Clone, Copy)]
pub(in crate::analysis) enum Group {
    /// Of all samples.
    All,
    /// Of the samples with this label.
    Class(usize),
}

/// Measures what is asked for, once.
pub(in crate::analysis) struct Probe<'a, 'b, B: Backend, R: Real> {
    sweep: Sweep<'a, 'b, B, R>,
    progress: &'a mut Progress<'a>,
    /// Of the samples, in their order.
    labels: Vec<u8>,
    /// Samples of each class.
    count: Vec<usize>,
    /// Predictions without noise.
    original: Vec<u8>,
    trials: usize,
    amplitudes: Vec<f64>,
    measured: Vec<Measured>,
}

/// All trials at one amplitude.
struct Measured {
    amplitude: f64,
    /// Right predictions by trial and class.
    right: Vec<Vec<u32>>,
    /// Trials that keep the original prediction, by sample.
    kept: Vec<u32>,
}

impl<'a, 'b, B: Backend, R: Real> Probe<'a, 'b, B, R> {
    /// Measures the accuracy without noise.
    pub fn new(
        net: &'a Net<'b, B, R>,
        network: &Network,
        selection: Selection<'a, B>,
        labels: Vec<u8>,
        options: &Options,
        progress: &'a mut Progress<'a>,
    ) -> Result<Self> {
        let mut sweep = Sweep::new(net, network, selection, options)?;
        let original = sweep.clean()?;
        let mut probe = Probe {
            sweep,
            progress,
            count: tally(&labels, net.spec.classes(), |_| true).iter().map(|&n| n as usize).collect(),
            labels,
            original,
            trials: options.trials,
            amplitudes: options.amplitudes.clone(),
            measured: Vec::new(),
        };
        let right = tally(&probe.labels, probe.count.len(), |i| probe.original[i] == probe.labels[i]);
        probe.measured.push(Measured {
            amplitude: 0.0,
            right: vec![right; probe.trials],
            kept: vec![probe.trials as u32; probe.labels.len()],
        });
        Ok(probe)
    }

    /// Measures all samples at those of these amplitudes that are still missing.
    pub fn measure(&mut self, amplitudes: &[f64]) -> Result<()> {
        let mut missing: Vec<f64> =
            amplitudes.iter().copied().filter(|&a| self.measured.iter().all(|m| m.amplitude != a)).collect();
        missing.sort_by(f64::total_cmp);
        missing.dedup();
        let (trials, classes, len) = (self.trials, self.count.len(), self.labels.len());
        let mut fresh: Vec<Measured> = missing
            .iter()
            .map(|&amplitude| Measured {
                amplitude,
                right: vec![vec![0; classes]; trials],
                kept: vec![0; len],
            })
            .collect();
        let requests: Vec<Amplitude<'_>> = missing.iter().map(|&a| Amplitude::All(a)).collect();
        let (labels, original) = (&self.labels, &self.original);
        self.sweep.run(&requests, self.progress, |At { request, trial, first }, predicted| {
            let Measured { right, kept, .. } = &mut fresh[request];
            for (i, &class) in (first..).zip(predicted) {
                kept[i] += u32::from(class == original[i]);
                // A label that is no class of the network is never right.
                if class == labels[i] {
                    right[trial][usize::from(class)] += 1;
                }
            }
        })?;
        self.measured.extend(fresh);
        Ok(())
    }

    /// The accuracy of a group at an amplitude that has been measured; none for a class without samples.
    pub fn point(&self, group: Group, amplitude: f64) -> Option<Point> {
        let measured = self.measured.iter().find(|m| m.amplitude == amplitude)?;
        let (samples, right): (usize, Vec<u32>) = match group {
            Group::All => {
                (self.labels.len(), measured.right.iter().map(|right| right.iter().sum()).collect())
            }
            Group::Class(class) => {
                (self.count[class], measured.right.iter().map(|right| right[class]).collect())
            }
        };
        let (samples, trials) = (samples as f64, self.trials as f64);
        let mean = right.iter().map(|&right| f64::from(right)).sum::<f64>() / trials;
        let spread: f64 = right.iter().map(|&right| (f64::from(right) - mean).powi(2)).sum();
        let stderr = (spread / (trials - 1.0) / trials).sqrt() / samples;
        (samples > 0.0).then(|| Point {
            amplitude,
            accuracy: mean / samples,
            stderr: (self.trials > 1).then_some(stderr),
        })
    }

    /// Whether a group has samples.
    pub fn has(&self, group: Group) -> bool {
        match group {
            Group::All => !self.labels.is_empty(),
            Group::Class(class) => self.count[class] > 0,
        }
    }

    /// Basin sizes of groups. All search at once, so that each round of passes serves them all.
    pub fn sizes(&mut self, targets: &[(Group, Threshold)]) -> Result<Vec<Size>> {
        loop {
            let found: Vec<Result<Size, f64>> = targets
                .iter()
                .map(|&(group, threshold)| match self.has(group) {
                    true => basin_size(&self.amplitudes, threshold, |a| self.point(group, a).ok_or(a)),
                    false => Ok(Size::Missing("the class has no samples".into())),
                })
                .collect();
            let wanted: Vec<f64> = found.iter().filter_map(|found| found.as_ref().err().copied()).collect();
            if wanted.is_empty() {
                return Ok(found.into_iter().flatten().collect());
            }
            self.measure(&wanted)?;
        }
    }

    /// Basin size of every sample: the amplitude at which half of the trials keep its original prediction (paper A,
    /// Sec. II.D). All search at once, each with its own amplitude, where samples do not see each other.
    pub fn sample_sizes(&mut self) -> Result<Vec<Size>> {
        let len = self.labels.len();
        let mut own: Vec<Vec<(f64, u32)>> = vec![Vec::new(); len];
        let mut sizes: Vec<Option<Size>> = vec![None; len];
        loop {
            let mut wanted = vec![0.0; len];
            for i in (0..len).filter(|&i| sizes[i].is_none()).collect::<Vec<_>>() {
                let point = |amplitude| self.sample_point(i, &own[i], amplitude).ok_or(amplitude);
                match basin_size(&self.amplitudes, Threshold::Accuracy(0.5), point) {
                    Ok(size) => sizes[i] = Some(size),
                    Err(amplitude) => wanted[i] = amplitude,
                }
            }
            let mut distinct: Vec<f64> = wanted.iter().copied().filter(|&a| a > 0.0).collect();
            distinct.sort_by(f64::total_cmp);
            distinct.dedup();
            match distinct.len() {
                0 => return Ok(sizes.into_iter().flatten().collect()),
                2.. if self.sweep.mixes() => {
                    let mut kept = vec![0; len];
                    let original = &self.original;
                    self.sweep.run(&[Amplitude::Each(&wanted)], self.progress, |at, predicted| {
                        for (i, &class) in (at.first..).zip(predicted) {
                            kept[i] += u32::from(class == original[i]);
                        }
                    })?;
                    for (i, &amplitude) in wanted.iter().enumerate().filter(|(_, a)| **a > 0.0) {
                        own[i].push((amplitude, kept[i]));
                    }
                }
                _ => self.measure(&distinct)?,
            }
        }
    }

    /// Share of trials that keep the original prediction of sample `i`.
    fn sample_point(&self, i: usize, own: &[(f64, u32)], amplitude: f64) -> Option<Point> {
        let shared = || self.measured.iter().find(|m| m.amplitude == amplitude).map(|m| m.kept[i]);
        let kept = own.iter().find(|(a, _)| *a == amplitude).map(|(_, kept)| *kept).or_else(shared)?;
        let trials = self.trials as f64;
        let share = f64::from(kept) / trials;
        let stderr = (self.trials > 1).then(|| (share * (1.0 - share) / (trials - 1.0)).sqrt());
        Some(Point { amplitude, accuracy: share, stderr })
    }
}

/// How many samples of each class there are for which `counts` holds.
fn tally(labels: &[u8], classes: usize, counts: impl Fn(usize) -> bool) -> Vec<u32> {
    let mut tally = vec![0; classes];
    for (i, &label) in labels.iter().enumerate() {
        if let Some(n) = tally.get_mut(usize::from(label)).filter(|_| counts(i)) {
            *n += 1;
        }
    }
    tally
}
