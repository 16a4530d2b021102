//! `forward`, a run of layers in evaluation, against its definition.

use crate::common::assert_close;
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::*;

on_each_backend!(f32_matches, nan_stays, wrong_lengths);
on_each_precision!(as_layer_by_layer);
on_cpu!(f64_matches, rows_stand_alone);

fn f32_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend);
}

fn f64_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f64>(backend);
}

/// Layers with every part that a layer may have, in one buffer.
struct Layers<R> {
    widths: Vec<usize>,
    /// W, b, mean, 1/σ, γ, β of every layer.
    parts: Vec<[Vec<R>; 6]>,
}

impl<R: Real> Layers<R> {
    fn new(widths: &[usize]) -> Layers<R> {
        let layer = |(i, pair): (usize, &[usize])| {
            let (inputs, outputs, seed) = (pair[0], pair[1], 10 * i as u64);
            let scale = R::of(1.5 / (inputs as f64).sqrt());
            let weight = values::<R>(seed, outputs * inputs).iter().map(|&w| w * scale).collect();
            let positive = values::<R>(seed + 1, outputs).iter().map(|v| R::of(1.5) + *v).collect();
            let [bias, mean, gamma, beta] = [2, 3, 4, 5].map(|part| values::<R>(seed + part, outputs));
            [weight, bias, mean, positive, gamma, beta]
        };
        Layers { widths: widths.to_vec(), parts: widths.windows(2).enumerate().map(layer).collect() }
    }

    /// The logits of each row of x, in f64.
    fn definition(&self, activation: Activation, mut x: Vec<f64>) -> Vec<f64> {
        let last = self.parts.len() - 1;
        for (i, [weight, bias, mean, inv_std, gamma, beta]) in self.parts.iter().enumerate() {
            let (inputs, outputs) = (self.widths[i], self.widths[i + 1]);
            let row = |x: &[f64]| -> Vec<f64> {
                let neuron = |o: usize| {
                    let weights = &weight[o * inputs..][..inputs];
                    let z = bias[o].wide() + x.iter().zip(weights).map(|(x, w)| x * w.wide()).sum::<f64>();
                    if i == last {
                        return z;
                    }
                    let standard = (z - mean[o].wide()) * inv_std[o].wide();
                    f(activation, gamma[o].wide() * standard + beta[o].wide())
                };
                (0..outputs).map(neuron).collect()
            };
            x = x.chunks(inputs).flat_map(row).collect();
        }
        x
    }

    /// Logits of `rows` rows of an input, from a backend.
    fn run<B: Backend>(
        &self,
        backend: &B,
        activation: Activation,
        input: &Input<'_, B, R>,
        rows: usize,
    ) -> Vec<R> {
        self.run_by(backend, activation, input, rows, false)
    }

    /// The same; with `in_turn` by one `linear` after the other.
    fn run_by<B: Backend>(
        &self,
        backend: &B,
        activation: Activation,
        input: &Input<'_, B, R>,
        rows: usize,
        in_turn: bool,
    ) -> Vec<R> {
        let on_device = |parts: &[Vec<R>; 6]| parts.each_ref().map(|part| backend.upload(part).unwrap());
        let bufs: Vec<_> = self.parts.iter().map(on_device).collect();
        let last = bufs.len() - 1;
        let layers: Vec<Layer<'_, B, R>> = bufs
            .iter()
            .enumerate()
            .map(|(i, bufs)| {
                let [weight, bias, mean, inv_std, gamma, beta] =
                    bufs.each_ref().map(|buf| Part::new(buf, 0, B::len(buf)));
                let norm = (i < last).then_some(Norm { mean, inv_std, gamma, beta });
                Layer { outputs: self.widths[i + 1], weight, bias: Some(bias), norm }
            })
            .collect();
        let widest = self.widths[1..=last].iter().max().copied().unwrap_or(0);
        let mut fields = [0, 1].map(|_| poisoned::<B, R>(backend, rows * widest));
        let len = rows * self.widths[last + 1];
        let mut logits = poisoned::<B, R>(backend, len);
        let desc = Forward { rows, inputs: self.widths[0], activation };
        let to = PartMut::new(&mut logits, 0, len);
        match in_turn {
            true => layer_by_layer(backend, desc, input, &layers, &mut fields, to),
            false => backend.forward(desc, input, &layers, &mut fields, to).unwrap(),
        }
        all(backend, &logits)
    }
}

/// [`Backend::forward`] by one [`Backend::linear`] after the other.
fn layer_by_layer<B: Backend, R: Real>(
    backend: &B,
    desc: Forward,
    input: &Input<'_, B, R>,
    layers: &[Layer<'_, B, R>],
    fields: &mut [B::Buf<R>; 2],
    logits: PartMut<'_, B, R>,
) {
    let Forward { rows, mut inputs, activation } = desc;
    let [mut below, mut z] = fields.each_mut();
    let mut logits = Some(logits);
    for (i, &Layer { outputs, weight, bias, .. }) in layers.iter().enumerate() {
        let x = match i.checked_sub(1) {
            None => *input,
            Some(i) => {
                let field =
                    Field { z: Part::new(below, 0, rows * inputs), noise: None, norm: layers[i].norm };
                Input::Field { field, activation, dropout: None }
            }
        };
        let out = logits.take_if(|_| i + 1 == layers.len());
        let out = out.unwrap_or_else(|| PartMut::new(z, 0, rows * outputs));
        backend.linear(Linear { rows, inputs, outputs }, &x, weight, bias, out, None, None).unwrap();
        (below, z) = (z, below);
        inputs = outputs;
    }
}

fn matches_definition<B: Backend, R: Real>(backend: &B) {
    let shapes: [&[usize]; 7] = [
        &[1, 1],
        &[7, 10],
        &[65, 33, 10],
        &[10, 1, 7],
        &[31, 64, 17, 128, 3],
        &[128, 129, 127, 100, 10],
        &[200, 63, 259, 10],
    ];
    let activations = ACTIVATIONS.iter().cycle();
    for (widths, &activation) in shapes.iter().zip(activations) {
        let layers = Layers::<R>::new(widths);
        for rows in [1, 15, 16, 49, 131] {
            let stored = Stored::<R>::new(5, rows, widths[0]);
            let uploaded = stored.upload(backend);
            for parts in [PLAIN, Parts { noise: true, norm: true, activation, ..PLAIN }] {
                let got = layers.run(backend, activation, &uploaded.whole(parts), rows);
                let want = layers.definition(activation, stored.x(parts));
                let what = format!("{widths:?}, {rows} rows, {activation:?}, {parts:?}");
                // Every layer multiplies the rounding of a sum by at most γ/σ = 2.5 and a weight's share of it.
                let close = 300.0 * epsilon::<R>();
                assert_close(&what, &wide(&got), &want, close, close);
            }
        }
    }
}

/// On a card the same bits as of one `linear` after the other; the CPU adds in another order. Of these layers cards take
/// small ones by themselves, and others together.
fn as_layer_by_layer<B: Backend>(backend: &B, _: Precision) {
    let shapes: [(usize, &[usize]); 6] = [
        (2100, &[70, 33, 129, 10]),
        (2049, &[16, 200, 8, 63, 65, 2]),
        (2177, &[328, 128, 10]),
        (131, &[33, 2050, 10, 7]),
        (2100, &[12, 10]),
        (259, &[40, 30, 10]),
    ];
    for ((rows, widths), &activation) in shapes.into_iter().zip(&ACTIVATIONS) {
        let layers = Layers::<f32>::new(widths);
        let mut stored = Stored::<f32>::new(5, rows, widths[0]);
        stored.z[3 * widths[0]] = f32::NAN;
        stored.z.iter_mut().step_by(5).for_each(|z| *z *= 1e4);
        let uploaded = stored.upload(backend);
        let pixels = backend.upload(&bytes(6, rows * widths[0])).unwrap();
        let inputs = [
            uploaded.whole(Parts { noise: true, ..PLAIN }),
            Input::Pixels { pixels: &pixels, rows: Rows::From(0), scale: 1.0 / 255.0, shift: 0.0 },
        ];
        for (i, input) in inputs.iter().enumerate() {
            let [got, want] =
                [false, true].map(|in_turn| layers.run_by(backend, activation, input, rows, in_turn));
            let what = format!("{rows} rows, {widths:?}, {activation:?}, input {i}");
            let nan = |logits: &[f32]| logits.iter().map(|z| z.is_nan()).collect::<Vec<bool>>();
            assert!(nan(&got) == nan(&want), "{what}");
            let pairs = got.iter().zip(&want).filter(|(got, _)| !got.is_nan());
            if backend.driver().is_some() {
                assert!(pairs.clone().all(|(got, want)| got.to_bits() == want.to_bits()), "{what}");
            }
            let most = pairs.clone().fold(0f32, |most, (_, want)| most.max(want.abs()));
            assert!(pairs.clone().all(|(got, want)| (got - want).abs() <= 1e-4 * most), "{what}");
        }
    }
}

/// The bits of a row do not depend on the rows around it, nor on the number of threads.
fn rows_stand_alone<B: Backend>(backend: &B) {
    for widths in [&[65, 33, 10][..], &[784, 128, 64, 10], &[1, 1, 1], &[600, 513, 10]] {
        let layers = Layers::<f32>::new(widths);
        let (rows, classes) = (131, widths[widths.len() - 1]);
        let uploaded = Stored::<f32>::new(5, rows, widths[0]).upload(backend);
        let bits = |first: usize, count: usize| -> Vec<u32> {
            let input = uploaded.input(PLAIN, first, count);
            layers.run(backend, Activation::Relu, &input, count).iter().map(|z| z.to_bits()).collect()
        };
        let whole = bits(0, rows);
        for (first, count) in [(0, 1), (130, 1), (5, 2), (17, 16), (40, 49), (1, 130)] {
            let alone = bits(first, count);
            assert!(alone == whole[first * classes..][..count * classes], "{widths:?}, {count} from {first}");
        }
    }
}

#[test]
fn same_bits_on_any_number_of_threads() {
    let layers = Layers::<f32>::new(&[65, 33, 10]);
    let on = |threads| {
        let run = |cpu: &Cpu| {
            let uploaded = Stored::<f32>::new(5, 331, 65).upload(cpu);
            let logits = layers.run(cpu, Activation::Tanh, &uploaded.whole(PLAIN), 331);
            Ok(logits.iter().map(|z| z.to_bits()).collect::<Vec<u32>>())
        };
        Cpu::new(threads).unwrap().install(run).unwrap()
    };
    let one = on(1);
    for threads in [2, 3, 5] {
        assert!(on(threads) == one, "{threads} threads");
    }
}

fn nan_stays<B: Backend>(backend: &B) {
    let layers = Layers::<f32>::new(&[3, 4, 2]);
    let mut x = vec![0.5; 3 * 3];
    x[4] = f32::NAN;
    let buf = backend.upload(&x).unwrap();
    let input = Input::plain(Field { z: Part::new(&buf, 0, 9), noise: None, norm: None });
    let logits = layers.run(backend, Activation::Relu, &input, 3);
    let nan: Vec<bool> = logits.iter().map(|z| z.is_nan()).collect();
    assert_eq!(nan, [false, false, true, true, false, false]);
}

fn wrong_lengths<B: Backend>(backend: &B) {
    let buf = backend.upload(&[0f32; 64]).unwrap();
    let part = |len| Part::new(&buf, 0, len);
    let norm = |len| Norm { mean: part(len), inv_std: part(len), gamma: part(len), beta: part(len) };
    let layer = |outputs, weight, norm| Layer { outputs, weight: part(weight), bias: None, norm };
    let (first, last) = (layer(4, 12, Some(norm(4))), layer(2, 8, None));
    let right = [first, last];
    type Case<'a, B> = (&'a [Layer<'a, B, f32>], usize, usize, usize);
    let cases: [Case<'_, B>; 9] = [
        (&right, 9, 12, 6),
        (&[], 9, 12, 6),
        (&right, 8, 12, 6),
        (&right, 9, 11, 6),
        (&right, 9, 12, 5),
        (&[layer(4, 11, Some(norm(4))), last], 9, 12, 6),
        (&[layer(4, 12, Some(norm(3))), last], 9, 12, 6),
        (&[first, layer(2, 7, None)], 9, 12, 6),
        (&[first, layer(2, 8, Some(norm(2)))], 9, 12, 6),
    ];
    for (i, (layers, x, room, out)) in cases.into_iter().enumerate() {
        let input = Input::plain(Field { z: part(x), noise: None, norm: None });
        let mut fields = [poisoned::<B, f32>(backend, room), poisoned::<B, f32>(backend, room)];
        let mut logits = poisoned::<B, f32>(backend, 6);
        let desc = Forward { rows: 3, inputs: 3, activation: Activation::Relu };
        let answer = backend.forward(desc, &input, layers, &mut fields, PartMut::new(&mut logits, 0, out));
        match i {
            0 => assert!(answer.is_ok(), "{answer:?}"),
            _ => assert!(matches!(answer, Err(Error::Shape { .. })), "case {i}: {answer:?}"),
        }
    }
}
