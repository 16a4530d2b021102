//! Cones: noisy copies passed one by one through an f64 network, principal axes checked by what defines them.

use crate::common::{assert_close, slow};
use netdyn::analysis::{Detail, Options, View, basin, cones, no_progress};
use netdyn::backend::{Activation, Backend, Real};
use netdyn::data::InputScale;
use netdyn::model::{BnMode, Net, Network, Samples};

on_each_backend!(copies_match, sizes_are_those_of_the_basin, wrong_settings_are_refused);
on_cpu!(f64_copies_match);

fn options(bn: BnMode) -> Options {
    Options {
        bn,
        seed: 77,
        amplitudes: vec![0.4, 0.1, 2.0],
        trials: 3,
        limit: Some(38),
        ..Options::default()
    }
}

fn copies_match<B: Backend>(backend: &B) {
    copies_are_where_they_should_be::<B, f32>(backend, 1e-4);
}

fn f64_copies_match<B: Backend>(backend: &B) {
    copies_are_where_they_should_be::<B, f64>(backend, 1e-8);
}

fn copies_are_where_they_should_be<B: Backend, R: Real>(backend: &B, tol: f64) {
    for (view, bn) in
        [(View::Features, BnMode::Eval), (View::Input, BnMode::Eval), (View::Features, BnMode::Batch)]
    {
        let network = slow::network(&[12, 7, 5, 3], Activation::Tanh, true, InputScale::STANDARDIZED, 5);
        let split = slow::split(40, 12, 3, 4);
        let net = Net::<B, R>::new(backend, &network).unwrap();
        let samples = Samples::new(backend, &split).unwrap();
        let options = options(bn);
        let got = cones(&net, &network, &samples, &options, view, None, &mut no_progress).unwrap();

        let mut chosen = vec![];
        for class in 0..3 {
            chosen.extend((0..38).filter(|&i| split.labels[i] == class).take(2));
        }
        assert_eq!(got.samples.iter().map(|s| s.index).collect::<Vec<_>>(), chosen);

        let first = split.first(38);
        let clean = slow::forward(&network, &network.params, &slow::inputs(&first, network.input), bn);
        let layer = match view {
            View::Features => 3,
            View::Input => 1,
        };
        // Batch mode: noisy copies are normalised as their clean set is.
        let network = match bn {
            BnMode::Eval => network,
            BnMode::Batch => Network { running: statistics(&network, &clean.x), ..network },
        };
        let x = &clean.x[layer - 1];
        let clean_points: Vec<_> = got.samples.iter().map(|s| (s.index, s.point)).collect();
        let place = fitted(x, &clean_points, &got.variance, tol);
        for cone in &got.samples {
            assert_eq!(cone.label, split.labels[cone.index]);
            assert_eq!(usize::from(cone.predicted), clean.predicted[cone.index]);
            let order: Vec<(f64, usize)> = cone.copies.iter().map(|c| (c.amplitude, c.trial)).collect();
            let want = [0.1, 0.4, 2.0].iter().flat_map(|&a| (0..3).map(move |t| (a, t)));
            assert_eq!(order, want.collect::<Vec<_>>());
            let mut lost = None;
            for copies in cone.copies.chunks(3) {
                for copy in copies {
                    let noisy =
                        slow::noisy_inputs(&first, network.input, options.seed, copy.trial, copy.amplitude);
                    let passed = slow::forward(&network, &network.params, &noisy, BnMode::Eval);
                    assert_eq!(usize::from(copy.predicted), passed.predicted[cone.index]);
                    let want = place(&passed.x[layer - 1][cone.index]);
                    assert_close("point", &copy.point, &want, tol, tol);
                }
                let votes = |class| copies.iter().filter(|c| c.predicted == class).count();
                let others = (0..3).filter(|&class| class != cone.predicted);
                if lost.is_none() && 2 * votes(cone.predicted) < 3 {
                    lost = others.fold(None, |best: Option<u8>, class| match best {
                        Some(best) if votes(best) >= votes(class) => Some(best),
                        _ => Some(class),
                    });
                }
            }
            assert_eq!(cone.lost_to, lost, "sample {}", cone.index);
        }
    }
}

/// Mean and biased variance of every z, from the x around it, in the layout of the running statistics.
fn statistics(network: &Network, x: &[Vec<Vec<f64>>]) -> Vec<f64> {
    let mut all = vec![0.0; network.running.len()];
    for (i, layer) in network.layout().layers.iter().enumerate() {
        let Some([mean_at, var_at]) = layer.stats else { continue };
        let (weight, inputs) = (&network.params[layer.weight.range()], network.spec.widths[i]);
        for o in 0..mean_at.len {
            let bias = layer.bias.map_or(0.0, |b| network.params[b.start + o]);
            let z = |x: &Vec<f64>| bias + (0..inputs).map(|j| weight[o * inputs + j] * x[j]).sum::<f64>();
            let z: Vec<f64> = x[i].iter().map(z).collect();
            let mean = z.iter().sum::<f64>() / z.len() as f64;
            all[mean_at.start + o] = mean;
            all[var_at.start + o] = z.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / z.len() as f64;
        }
    }
    all
}

/// Principal axes of `x` by power iteration; checks the points of clean samples and the variances against them.
fn fitted(
    x: &[Vec<f64>],
    clean: &[(usize, [f64; 3])],
    variance: &[f64; 3],
    tol: f64,
) -> impl Fn(&Vec<f64>) -> [f64; 3] + use<> {
    let (n, features) = (x.len() as f64, x[0].len());
    let mean: Vec<f64> = (0..features).map(|i| x.iter().map(|x| x[i]).sum::<f64>() / n).collect();
    let covariance = |i: usize, j: usize| x.iter().map(|x| (x[i] - mean[i]) * (x[j] - mean[j])).sum::<f64>();
    let c: Vec<Vec<f64>> = (0..features).map(|i| (0..features).map(|j| covariance(i, j)).collect()).collect();
    let trace: f64 = (0..features).map(|i| c[i][i]).sum();
    let mut axes: Vec<Vec<f64>> = vec![];
    for &variance in variance {
        let mut v: Vec<f64> = (0..features).map(|i| 1.0 + (i as f64).cos()).collect();
        let mut value = 0.0;
        for _ in 0..5_000 {
            for u in &axes {
                let along: f64 = u.iter().zip(&v).map(|(u, v)| u * v).sum();
                v.iter_mut().zip(u).for_each(|(v, u)| *v -= along * u);
            }
            v = c.iter().map(|row| row.iter().zip(&v).map(|(c, v)| c * v).sum()).collect();
            value = v.iter().map(|v| v * v).sum::<f64>().sqrt();
            v.iter_mut().for_each(|v| *v /= value);
        }
        let largest = v.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
        axes.push(v.iter().map(|v| v * largest.signum()).collect());
        assert_close("variance", &[variance], &[value / trace], tol, 0.0);
    }
    let place = move |x: &Vec<f64>| -> [f64; 3] {
        std::array::from_fn(|d| (0..x.len()).map(|i| axes[d][i] * (x[i] - mean[i])).sum())
    };
    for (index, point) in clean {
        assert_close("clean point", point, &place(&x[*index]), tol, tol);
    }
    place
}

fn sizes_are_those_of_the_basin<B: Backend>(backend: &B) {
    let network = slow::network(&[12, 7, 5, 3], Activation::Tanh, true, InputScale::Unit, 5);
    let samples = Samples::new(backend, &slow::split(40, 12, 3, 4)).unwrap();
    let net = Net::<B, f32>::new(backend, &network).unwrap();
    let detail = Detail { per_sample: true, ..Detail::default() };
    let options = Options { detail, ..options(BnMode::Eval) };
    let whole = basin(&net, &network, &samples, &options, &mut no_progress).unwrap().per_sample.unwrap();
    let chosen = [31, 2, 17];
    let got =
        cones(&net, &network, &samples, &options, View::Input, Some(&chosen), &mut no_progress).unwrap();
    for (cone, index) in got.samples.iter().zip(chosen) {
        assert_eq!((cone.index, cone.size), (index, whole[index].size));
    }
}

fn wrong_settings_are_refused<B: Backend>(backend: &B) {
    let network = slow::network(&[12, 2, 3], Activation::Tanh, true, InputScale::Unit, 5);
    let samples = Samples::new(backend, &slow::split(40, 12, 3, 4)).unwrap();
    let net = Net::<B, f32>::new(backend, &network).unwrap();
    let options = options(BnMode::Eval);
    for (view, chosen) in [(View::Features, None), (View::Input, Some(&[38][..]))] {
        let error = cones(&net, &network, &samples, &options, view, chosen, &mut no_progress).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
}
