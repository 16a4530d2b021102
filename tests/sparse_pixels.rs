//! Products with pixels of which most are zero, on the CPU: the same bits as with the numbers that the pixels stand for.

use crate::common::cpu;
use crate::reference::{all, values};
use netdyn::backend::cpu::Cpu;
use netdyn::backend::*;

/// Rows, inputs, outputs: parts of vectors, panels, words and blocks; several groups of rows.
const SHAPES: [(usize, usize, usize); 9] = [
    (1, 784, 256),
    (300, 2, 256),
    (3, 784, 256),
    (31, 64, 304),
    (125, 784, 257),
    (257, 63, 300),
    (600, 130, 272),
    (2100, 513, 256),
    (4100, 50, 321),
];
const SCALE: f32 = 1.0 / 255.0;

/// One pixel in `every` is not zero, on average; some rows and columns have none.
fn pixels(rows: usize, inputs: usize, every: u32) -> Vec<u8> {
    let byte = |i: usize| {
        let hash = (i as u32).wrapping_mul(2_654_435_761).rotate_left(15).wrapping_mul(2_246_822_519) >> 8;
        let empty = i / inputs % 7 == 3 || i % inputs % 11 == 5;
        if empty || !hash.is_multiple_of(every) { 0 } else { (hash >> 16) as u8 | 1 }
    };
    (0..rows * inputs).map(byte).collect()
}

/// z and dW.
fn both_passes<R: Real>(
    cpu: &Cpu,
    (rows, inputs, outputs): (usize, usize, usize),
    input: &Input<Cpu, R>,
    weight: &[R],
    dz: &[R],
) -> [Vec<R>; 2] {
    let weight_span = Span { start: 0, len: outputs * inputs };
    let mut z = cpu.zeros(rows * outputs).unwrap();
    let params = cpu.upload(weight).unwrap();
    let desc = Linear { rows, inputs, outputs };
    let to = PartMut::new(&mut z, 0, rows * outputs);
    cpu.linear(desc, input, Part::at(&params, weight_span), None, to, None, None).unwrap();
    let grad = cpu.upload(dz).unwrap();
    let delta = Delta { grad: &grad, norm: None };
    let mut grads = cpu.zeros(outputs * inputs).unwrap();
    let desc = LinearBackward { rows, inputs, outputs, weight: weight_span, bias: None, below_norm: None };
    cpu.linear_backward(desc, &delta, input, &params, &mut grads, None, None).unwrap();
    [all(cpu, &z), all(cpu, &grads)]
}

/// With pixels, and with the numbers.
fn compare<R: Real>(
    cpu: &Cpu,
    shape: (usize, usize, usize),
    bytes: &[u8],
    weight: &[R],
    dz: &[R],
) -> [[Vec<R>; 2]; 2] {
    let scale = R::of(SCALE.into());
    let stored = cpu.upload(bytes).unwrap();
    let of_pixels = Input::Pixels { pixels: &stored, rows: Rows::From(0), scale, shift: R::zero() };
    let numbers: Vec<R> = bytes.iter().map(|&byte| scale * R::of(byte.into())).collect();
    let numbers = cpu.upload(&numbers).unwrap();
    let of_numbers = Input::plain(Field { z: Part::new(&numbers, 0, bytes.len()), noise: None, norm: None });
    [of_pixels, of_numbers].map(|input| both_passes(cpu, shape, &input, weight, dz))
}

fn same_bits<R: Real>(a: &[R], b: &[R]) -> bool {
    bytemuck::cast_slice::<R, u8>(a) == bytemuck::cast_slice::<R, u8>(b)
}

fn all_shapes<R: Real>(cpu: &Cpu) {
    for shape in SHAPES {
        let (rows, inputs, outputs) = shape;
        // Sparse and hardly so; then dense, where there is nothing to leave out.
        for every in [1000, 6, 3, 1] {
            let bytes = pixels(rows, inputs, every);
            let (weight, dz) = (values::<R>(3, outputs * inputs), values::<R>(5, rows * outputs));
            let [sparse, dense] = compare(cpu, shape, &bytes, &weight, &dz);
            for (what, (sparse, dense)) in ["z", "dW"].into_iter().zip(sparse.iter().zip(&dense)) {
                assert!(same_bits(sparse, dense), "{what} of {shape:?}, one in {every}, {}", R::NAME);
            }
        }
    }
}

#[test]
fn same_bits_in_f32() {
    cpu(all_shapes::<f32>);
}

#[test]
fn same_bits_in_f64() {
    cpu(all_shapes::<f64>);
}

/// The crate sums two terms in a way of its own: here they are the last two of very many rows.
#[test]
fn same_bits_with_two_rows_left() {
    cpu(|cpu: &Cpu| {
        let shape = (65_538, 3, 256);
        let (rows, inputs, outputs) = shape;
        let mut bytes = pixels(rows, inputs, 6);
        bytes[(rows - 2) * inputs..].fill(77);
        let (weight, dz) = (values::<f32>(3, outputs * inputs), values::<f32>(5, rows * outputs));
        let [sparse, dense] = compare(cpu, shape, &bytes, &weight, &dz);
        assert!(same_bits(&sparse[0], &dense[0]) && same_bits(&sparse[1], &dense[1]));
    });
}

/// A zero times an infinity is no zero: what is left out of a product with it must show.
#[test]
fn infinities_reach_as_far() {
    cpu(|cpu: &Cpu| {
        let shape = (300, 70, 280);
        let (rows, inputs, outputs) = shape;
        let bytes = pixels(rows, inputs, 6);
        for bad in [f32::NAN, f32::INFINITY] {
            let (mut weight, mut dz) = (values::<f32>(3, outputs * inputs), values::<f32>(5, rows * outputs));
            weight[33 * inputs + 5] = bad;
            dz[3 * outputs + 71] = bad;
            let ways = compare(cpu, shape, &bytes, &weight, &dz);
            let [sparse, dense] =
                ways.map(|way| way.map(|v| v.iter().map(|x| x.is_finite()).collect::<Vec<_>>()));
            assert!(sparse == dense, "{bad}");
            assert!(sparse.iter().all(|finite| finite.contains(&false) && finite.contains(&true)));
        }
    });
}
