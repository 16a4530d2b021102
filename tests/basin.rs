//! Attraction basins, against noisy images and noisy weights passed one by one through an f64 network.

use crate::common::{assert_close, slow};
use netdyn::analysis::{Basin, Detail, Options, Scaling, Space, Threshold, basin, no_progress};
use netdyn::backend::{Activation, Backend, Real};
use netdyn::data::{InputScale, Split};
use netdyn::model::{BnMode, Net, Network, Samples};

on_each_backend!(
    sample_space,
    weight_space,
    one_trial_has_no_error,
    sizes_of_classes_and_samples,
    any_first_samples_keep_their_noise,
    wrong_settings_are_refused,
);
on_cpu!(f64_sample_space, f64_weight_space, f64_sizes_of_classes_and_samples);

const AMPLITUDES: [f64; 5] = [0.3, 0.0, 0.05, 1.5, 0.3]; // neither sorted nor distinct
const STANDARD: InputScale = InputScale::STANDARDIZED;

struct Case {
    widths: &'static [usize],
    activation: Activation,
    norm: bool,
    input: InputScale,
    bn: BnMode,
    scaling: Scaling,
}

/// With and without hidden layers, batch norm and its modes, input ranges.
fn cases() -> Vec<Case> {
    let case =
        |widths, activation, norm, input, bn, scaling| Case { widths, activation, norm, input, bn, scaling };
    let (relu, tanh) = (Activation::Relu, Activation::Tanh);
    vec![
        case(&[12, 7, 3], relu, false, InputScale::Unit, BnMode::Eval, Scaling::Standardized),
        case(&[36, 9, 5, 8, 4], tanh, true, STANDARD, BnMode::Eval, Scaling::Standardized),
        case(&[36, 9, 5, 8, 4], relu, true, STANDARD, BnMode::Batch, Scaling::Absolute),
        case(&[13, 4], relu, false, STANDARD, BnMode::Eval, Scaling::Standardized),
        case(&[13, 6, 4], relu, true, InputScale::Unit, BnMode::Batch, Scaling::Standardized),
    ]
}

impl Case {
    fn made(&self) -> (Network, Split) {
        let network = slow::network(self.widths, self.activation, self.norm, self.input, 5);
        let mut split = slow::split(40, self.widths[0], self.widths[self.widths.len() - 1], 11);
        slow::relabel(&mut split, &network);
        (network, split)
    }

    fn options(&self, space: Space) -> Options {
        Options {
            bn: self.bn,
            seed: 0x1234_5678_9abc,
            amplitudes: AMPLITUDES.to_vec(),
            trials: 4,
            scaling: self.scaling,
            space,
            ..Options::default()
        }
    }
}

fn run<B: Backend, R: Real>(backend: &B, network: &Network, split: &Split, options: &Options) -> Basin {
    let net = Net::<B, R>::new(backend, network).unwrap();
    let samples = Samples::new(backend, split).unwrap();
    basin(&net, network, &samples, options, &mut no_progress).unwrap()
}

/// Predictions of the naive definition.
fn predictions(network: &Network, split: &Split, options: &Options, trial: usize, sigma: f64) -> Vec<usize> {
    let (x, params) = match options.space {
        Space::Sample => {
            (slow::noisy_inputs(split, network.input, options.seed, trial, sigma), network.params.clone())
        }
        Space::Weight => {
            let params = slow::noisy_params(network, options.seed, trial, sigma, options.scaling);
            (slow::inputs(split, network.input), params)
        }
    };
    slow::forward(network, &params, &x, options.bn).predicted
}

/// Right predictions of each trial among the samples with a label that `counts`.
fn right(
    network: &Network,
    split: &Split,
    options: &Options,
    sigma: f64,
    counts: impl Fn(u8) -> bool,
) -> Vec<usize> {
    let trial = |trial| {
        let predicted = predictions(network, split, options, trial, sigma);
        predicted.iter().zip(&split.labels).filter(|(p, y)| **p == usize::from(**y) && counts(**y)).count()
    };
    (0..options.trials).map(trial).collect()
}

fn curves_match<B: Backend, R: Real>(backend: &B, space: Space) {
    for (i, case) in cases().iter().enumerate() {
        let (network, split) = case.made();
        let options = case.options(space);
        let basin = run::<B, R>(backend, &network, &split, &options);
        assert_eq!(basin.curve.iter().map(|p| p.amplitude).collect::<Vec<_>>(), AMPLITUDES);
        for point in &basin.curve {
            let right = right(&network, &split, &options, point.amplitude, |_| true);
            let each: Vec<f64> = right.iter().map(|&n| n as f64 / 40.0).collect();
            let (mean, trials) = (each.iter().sum::<f64>() / 4.0, 4.0);
            let var = each.iter().map(|a| (a - mean) * (a - mean)).sum::<f64>() / (trials - 1.0);
            let what = format!("case {i}, {space:?}, amplitude {}", point.amplitude);
            assert_eq!((point.accuracy * 160.0).round() as usize, right.iter().sum::<usize>(), "{what}");
            assert_close(&what, &[point.accuracy], &[mean], 1e-14, 0.0);
            assert_close(&what, &[point.stderr.unwrap()], &[(var / trials).sqrt()], 1e-12, 1e-15);
        }
    }
}

fn sample_space<B: Backend>(backend: &B) {
    curves_match::<B, f32>(backend, Space::Sample);
}

fn weight_space<B: Backend>(backend: &B) {
    curves_match::<B, f32>(backend, Space::Weight);
}

fn f64_sample_space<B: Backend>(backend: &B) {
    curves_match::<B, f64>(backend, Space::Sample);
}

fn f64_weight_space<B: Backend>(backend: &B) {
    curves_match::<B, f64>(backend, Space::Weight);
}

fn one_trial_has_no_error<B: Backend>(backend: &B) {
    let case = &cases()[0];
    let (network, split) = case.made();
    let options = Options { trials: 1, ..case.options(Space::Sample) };
    let basin = run::<B, f32>(backend, &network, &split, &options);
    assert!(basin.curve.iter().all(|point| point.stderr.is_none()));
    let json = serde_json::to_value(&basin).unwrap();
    assert!(json["curve"][0]["stderr"].is_null() && json.get("per_class").is_none(), "{json}");
    assert_eq!(json["space"], "sample");
}

/// Walks and bisects by the rules, asking the naive definition.
fn naive_size(amplitudes: &[f64], level: f64, curve: impl Fn(f64) -> (f64, f64)) -> Option<f64> {
    let mut list: Vec<f64> = amplitudes.iter().copied().filter(|a| *a > 0.0).collect();
    list.sort_by(f64::total_cmp);
    while list[list.len() - 1] < 64.0 {
        list.push(64f64.min(2.0 * list[list.len() - 1]));
    }
    let (mut low, mut at_low) = (0.0, curve(0.0));
    if at_low.0 < level {
        return None;
    }
    let mut high = *list.iter().find(|&&a| {
        let falls = curve(a).0 < level;
        if !falls {
            (low, at_low) = (a, curve(a));
        }
        falls
    })?;
    let mut at_high = curve(high);
    while high - low >= 0.02 * high && at_low.0 - at_high.0 >= at_low.1.max(at_high.1) {
        let middle = (low + high) / 2.0;
        let at = curve(middle);
        if at.0 >= level { (low, at_low) = (middle, at) } else { (high, at_high) = (middle, at) }
    }
    Some(low + (high - low) * (at_low.0 - level) / (at_low.0 - at_high.0))
}

fn mean_error(of: &[usize], samples: usize) -> (f64, f64) {
    let (n, trials) = (samples as f64, of.len() as f64);
    let mean = of.iter().sum::<usize>() as f64 / trials;
    let var = of.iter().map(|&r| (r as f64 - mean).powi(2)).sum::<f64>() / (trials - 1.0);
    (mean / n, (var / trials).sqrt() / n)
}

#[track_caller]
fn same_size(what: &str, got: Option<f64>, want: Option<f64>) {
    assert_eq!(got.is_some(), want.is_some(), "{what}: got {got:?}, want {want:?}");
    assert_close(what, &[got.unwrap_or(0.0)], &[want.unwrap_or(0.0)], 1e-9, 0.0);
}

fn sizes_of_classes_and_samples<B: Backend>(backend: &B) {
    sizes_match::<B, f32>(backend);
}

fn f64_sizes_of_classes_and_samples<B: Backend>(backend: &B) {
    sizes_match::<B, f64>(backend);
}

fn sizes_match<B: Backend, R: Real>(backend: &B) {
    for (i, case) in cases().iter().enumerate() {
        for space in [Space::Sample, Space::Weight] {
            let (network, mut split) = case.made();
            split.labels.iter_mut().for_each(|label| *label = (*label).max(1)); // class 0 has no samples
            let mut options = case.options(space);
            options.detail = Detail { per_class: true, per_sample: true, per_neuron: false };
            let basin = run::<B, R>(backend, &network, &split, &options);

            let curve = |counts: &dyn Fn(u8) -> bool, sigma| {
                let samples = split.labels.iter().filter(|&&y| counts(y)).count();
                mean_error(&right(&network, &split, &options, sigma, counts), samples)
            };
            let all = |sigma| curve(&|_| true, sigma);
            let what = format!("case {i}, {space:?}");
            same_size(&what, basin.size, naive_size(&AMPLITUDES, 0.5, all));
            let relative = naive_size(&AMPLITUDES, all(0.0).0 / 2.0, all);
            same_size(&what, basin.size_relative, relative);
            let missing = basin.size.is_none() || basin.size_relative.is_none();
            assert_eq!(basin.reason.is_some(), missing, "{what}: {:?}", basin.reason);

            let classes = basin.per_class.unwrap();
            assert_eq!(classes.len(), network.spec.classes());
            assert!(classes[0].curve.is_none() && classes[0].size.is_none());
            for class in &classes[1..] {
                let own = |sigma| curve(&|y| usize::from(y) == class.class, sigma);
                let what = format!("{what}, class {}", class.class);
                let Some(points) = &class.curve else {
                    assert!(split.labels.iter().all(|&y| usize::from(y) != class.class), "{what}");
                    continue;
                };
                for point in points {
                    let (accuracy, stderr) = own(point.amplitude);
                    assert_close(&what, &[point.accuracy], &[accuracy], 1e-14, 0.0);
                    assert_close(&what, &[point.stderr.unwrap()], &[stderr], 1e-12, 1e-15);
                }
                same_size(&what, class.size, naive_size(&AMPLITUDES, 0.5, own));
            }

            let original = predictions(&network, &split, &options, 0, 0.0);
            let samples = basin.per_sample.unwrap();
            assert_eq!(samples.len(), 40);
            // The naive definition passes the whole set for one sample's share: a few of them must do.
            for sample in samples.iter().step_by(9) {
                assert_eq!(sample.label, split.labels[sample.index]);
                let share = |sigma| {
                    let kept = |trial| {
                        let predicted = predictions(&network, &split, &options, trial, sigma);
                        usize::from(predicted[sample.index] == original[sample.index])
                    };
                    mean_error(&(0..options.trials).map(kept).collect::<Vec<_>>(), 1)
                };
                let what = format!("{what}, sample {}", sample.index);
                same_size(&what, sample.size, naive_size(&AMPLITUDES, 0.5, share));
            }
        }
    }
}

fn any_first_samples_keep_their_noise<B: Backend>(backend: &B) {
    let case = &cases()[1];
    let (network, split) = case.made();
    let mut options = case.options(Space::Sample);
    options.detail.per_sample = true;
    let whole = run::<B, f32>(backend, &network, &split, &options).per_sample.unwrap();
    options.limit = Some(17);
    let first = run::<B, f32>(backend, &network, &split, &options).per_sample.unwrap();
    assert_eq!(first[..], whole[..17]);
}

fn wrong_settings_are_refused<B: Backend>(backend: &B) {
    let case = &cases()[0];
    let (network, split) = case.made();
    let good = case.options(Space::Sample);
    let net = Net::<B, f32>::new(backend, &network).unwrap();
    let samples = Samples::new(backend, &split).unwrap();
    for wrong in [
        Options { trials: 0, ..good.clone() },
        Options { limit: Some(0), ..good.clone() },
        Options { amplitudes: vec![0.1, -0.1], ..good.clone() },
        Options { amplitudes: vec![f64::NAN], ..good.clone() },
        Options {
            classes: Some(vec![3]),
            detail: Detail { per_class: true, ..Detail::default() },
            threshold: Threshold::Relative,
            ..good
        },
    ] {
        let error = basin(&net, &network, &samples, &wrong, &mut no_progress).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
}
