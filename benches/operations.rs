//! The operations that take the time, each alone and on one layer of the deep network.

use crate::Bench;
use crate::inputs::{OF_GEMM_A, OF_GEMM_B, narrowed, shrunk, uniform};
use netdyn::Result;
use netdyn::backend::{
    Activation, Backend, Delta, Field, Gram, Input, Linear, LinearBackward, Moments, Normals, Part, PartMut,
    Rows, Span,
};

const ROWS: usize = 12_000;
const TARGETS: usize = 10;

/// Samples, neurons, and their product.
fn size() -> (usize, usize, usize) {
    let (rows, width) = (shrunk(ROWS), narrowed(512));
    (rows, width, rows * width)
}

/// A layer behind a ReLU, with its column moments.
pub fn linear<B: Backend>(bench: &mut Bench<'_, B>) {
    let (rows, width, cells) = size();
    let desc = Linear { rows, inputs: width, outputs: width };
    let make = |on: &B| Ok((field(on)?, weights(on)?, nans(on, cells)?, nans(on, 2 * width)?));
    bench.time(("linear", ROWS), (2 * cells * width) as u64, make, |backend, (x, w, z, moments)| {
        let [mean, var] = [Span { start: 0, len: width }, Span { start: width, len: width }];
        let moments = Some(Moments { buf: moments, mean, var });
        let (weight, z) = (Part::new(w, 0, width * width), PartMut::new(z, 0, cells));
        backend.linear(desc, &relu(x), weight, None, z, moments, None)
    });
}

/// Its gradients, with that of the layer below.
pub fn linear_backward<B: Backend>(bench: &mut Bench<'_, B>) {
    let (rows, width, cells) = size();
    let desc = LinearBackward {
        rows,
        inputs: width,
        outputs: width,
        weight: Span { start: 0, len: width * width },
        bias: None,
        below_norm: None,
    };
    let make =
        |on: &B| Ok((field(on)?, weights(on)?, field(on)?, nans(on, width * width)?, nans(on, cells)?));
    let case = ("linear_backward", ROWS);
    bench.time(case, (4 * cells * width) as u64, make, |backend, (x, w, dz, grads, below)| {
        let delta = Delta { grad: dz, norm: None };
        backend.linear_backward(desc, &delta, &relu(x), w, grads, Some(below), None)
    });
}

/// Counter-based noise for as many pixels.
pub fn normals<B: Backend>(bench: &mut Bench<'_, B>) {
    let desc = Normals { rows: shrunk(ROWS), cols: 784, seed: 7, trial: 0, stream: 0 };
    let len = desc.rows * desc.cols;
    let make = |on: &B| nans(on, len);
    bench.time(("normals", ROWS), len as u64, make, |backend, out| {
        backend.normals(desc, Rows::From(0), PartMut::<B, f32>::new(out, 0, len))
    });
}

/// Normal equations of the linear perceptron.
pub fn gram<B: Backend>(bench: &mut Bench<'_, B>) {
    let (rows, width, _) = size();
    let desc = Gram { rows, features: width, targets: TARGETS };
    let (both, cells) = (width + TARGETS, width * (width + TARGETS));
    let make = |on: &B| {
        let targets = on.upload(&vec![0.5; rows * TARGETS])?;
        Ok((field(on)?, targets, on.upload(&vec![0.25; both])?, on.zeros::<f64>(cells)?))
    };
    bench.time(("gram", ROWS), (2 * rows * cells) as u64, make, |backend, (x, y, centre, products)| {
        let (targets, centre) = (Part::new(y, 0, rows * TARGETS), Part::new(centre, 0, both));
        backend.gram(desc, &relu(x), targets, centre, PartMut::new(products, 0, cells))
    });
}

fn field<B: Backend>(backend: &B) -> Result<B::Buf<f32>> {
    backend.upload(&uniform(size().2, OF_GEMM_A, 0.5))
}

fn weights<B: Backend>(backend: &B) -> Result<B::Buf<f32>> {
    let (_, width, _) = size();
    backend.upload(&uniform(width * width, OF_GEMM_B, 0.5))
}

fn nans<B: Backend>(backend: &B, len: usize) -> Result<B::Buf<f32>> {
    backend.upload(&vec![f32::NAN; len])
}

/// The layer input behind a field.
fn relu<B: Backend>(z: &B::Buf<f32>) -> Input<'_, B, f32> {
    let field = Field { z: Part::new(z, 0, B::len(z)), noise: None, norm: None };
    Input::Field { field, activation: Activation::Relu, dropout: None }
}
