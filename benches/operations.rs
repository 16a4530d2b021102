//! The operations that take the time, each alone and on one layer of the deep network.

use crate::inputs::{OF_GEMM_A, OF_GEMM_B, uniform};
use crate::time;
use criterion::Criterion;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::{
    Activation, Backend, Delta, Field, Gram, Input, Linear, LinearBackward, Moments, Normals, Part, PartMut,
    Rows, Span,
};

const ROWS: usize = 12_000;
const WIDTH: usize = 512;
const CELLS: usize = ROWS * WIDTH;
const TARGETS: usize = 10;

/// A layer behind a ReLU, with its column moments.
pub fn linear(criterion: &mut Criterion, cpu: &Cpu) {
    let desc = Linear { rows: ROWS, inputs: WIDTH, outputs: WIDTH };
    let make = || Ok((field(), weights(), vec![f32::NAN; CELLS], vec![f32::NAN; 2 * WIDTH]));
    time(criterion, ("linear", ROWS), (2 * CELLS * WIDTH) as u64, make, |(x, w, z, moments)| {
        let [mean, var] = [Span { start: 0, len: WIDTH }, Span { start: WIDTH, len: WIDTH }];
        let moments = Some(Moments { buf: moments, mean, var });
        let (weight, z) = (Part::new(w, 0, WIDTH * WIDTH), PartMut::new(z, 0, CELLS));
        cpu.linear(desc, &relu(x), weight, None, z, moments)
    });
}

/// Its gradients, with that of the layer below.
pub fn linear_backward(criterion: &mut Criterion, cpu: &Cpu) {
    let desc = LinearBackward {
        rows: ROWS,
        inputs: WIDTH,
        outputs: WIDTH,
        weight: Span { start: 0, len: WIDTH * WIDTH },
        bias: None,
        below_norm: None,
    };
    let make = || Ok((field(), weights(), field(), vec![f32::NAN; WIDTH * WIDTH], vec![f32::NAN; CELLS]));
    let case = ("linear_backward", ROWS);
    time(criterion, case, (4 * CELLS * WIDTH) as u64, make, |(x, w, dz, grads, below)| {
        let delta = Delta { grad: dz, norm: None };
        cpu.linear_backward(desc, &delta, &relu(x), w, grads, Some(below))
    });
}

/// Counter-based noise for as many pixels.
pub fn normals(criterion: &mut Criterion, cpu: &Cpu) {
    let desc = Normals { rows: ROWS, cols: 784, seed: 7, trial: 0, stream: 0 };
    let len = desc.rows * desc.cols;
    time(
        criterion,
        ("normals", ROWS),
        len as u64,
        || Ok(vec![f32::NAN; len]),
        |out| cpu.normals(desc, Rows::From(0), PartMut::new(out, 0, len)),
    );
}

/// Normal equations of the linear perceptron.
pub fn gram(criterion: &mut Criterion, cpu: &Cpu) {
    let desc = Gram { rows: ROWS, features: WIDTH, targets: TARGETS };
    let (both, cells) = (WIDTH + TARGETS, WIDTH * (WIDTH + TARGETS));
    let make = || Ok((field(), vec![0.5; ROWS * TARGETS], vec![0.25; both], vec![0.0; cells]));
    time(criterion, ("gram", ROWS), (2 * ROWS * cells) as u64, make, |(x, y, centre, products)| {
        let (targets, centre) = (Part::new(y, 0, ROWS * TARGETS), Part::new(centre, 0, both));
        cpu.gram(desc, &relu(x), targets, centre, PartMut::new(products, 0, cells))
    });
}

fn field() -> Vec<f32> {
    uniform(CELLS, OF_GEMM_A, 0.5)
}

fn weights() -> Vec<f32> {
    uniform(WIDTH * WIDTH, OF_GEMM_B, 0.5)
}

/// The layer input behind a field.
fn relu<B: Backend<Buf<f32> = Vec<f32>>>(z: &Vec<f32>) -> Input<'_, B, f32> {
    let field = Field { z: Part::new(z, 0, CELLS), noise: None, norm: None };
    Input::Field { field, activation: Activation::Relu, dropout: None }
}
