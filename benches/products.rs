//! The matrix products of a layer, alone. Each leaves the mean magnitude of its result and the result's first row.

use crate::inputs::{
    OF_GEMM_A, OF_GEMM_B, OF_GEMM_DZ, PIXELS, mean_magnitude, narrowed, shrunk, split, uniform, wide,
};
use crate::{Bench, Checks};
use netdyn::Result;
use netdyn::backend::{
    Activation, Backend, Delta, Field, Input, Linear, LinearBackward, Part, PartMut, Rows, Span,
};

const SAMPLES: usize = 60_000;

/// Samples and neurons.
fn size() -> (usize, usize) {
    (shrunk(SAMPLES), narrowed(512))
}

/// Operands and result of a product.
struct Work<A, F> {
    a: A,
    b: F,
    out: F,
}

/// x Wᵀ without bias.
pub fn gemm<B: Backend>(bench: &mut Bench<'_, B>) {
    let case = ("gemm", SAMPLES);
    let checks = bench.checks(case);
    let (rows, width) = size();
    let desc = Linear { rows, inputs: width, outputs: width };
    let product = |backend: &B, work: &mut Work<B::Buf<f32>, B::Buf<f32>>| {
        forward(backend, desc, &plain(&work.a), &work.b, &mut work.out)
    };
    let make = |backend: &B| {
        let a = fields(backend, &uniform(rows * width, OF_GEMM_A, 0.5))?;
        let b = backend.upload(&uniform(width * width, OF_GEMM_B, 0.5))?;
        let mut work = Work { a, b, out: fields(backend, &vec![f32::NAN; rows * width])? };
        product(backend, &mut work)?;
        record(backend, &checks, &work.out)?;
        Ok(work)
    };
    bench.time(case, (2 * rows * width * width) as u64, make, product);
}

/// The same of pixels: the first layer.
pub fn gemm_u8<B: Backend>(bench: &mut Bench<'_, B>) {
    let case = ("gemm_u8", SAMPLES);
    let checks = bench.checks(case);
    let (rows, width) = size();
    let desc = Linear { rows, inputs: PIXELS, outputs: width };
    let product = |backend: &B, work: &mut Work<B::Buf<u8>, B::Buf<f32>>| {
        let (pixels, first) = (&work.a, Rows::From(0));
        let input = Input::Pixels { pixels, rows: first, scale: 1.0 / 255.0, shift: 0.0 };
        forward(backend, desc, &input, &work.b, &mut work.out)
    };
    let make = |backend: &B| {
        let a = backend.upload(&split(rows).images)?;
        let b = backend.upload(&uniform(width * PIXELS, OF_GEMM_B, 0.5))?;
        let mut work = Work { a, b, out: fields(backend, &vec![f32::NAN; rows * width])? };
        product(backend, &mut work)?;
        record(backend, &checks, &work.out)?;
        Ok(work)
    };
    bench.time(case, (2 * rows * width * PIXELS) as u64, make, product);
}

/// A product's work, and the weights beside it.
type Weighted<Buf> = (Buf, Work<Buf, Buf>);

/// dzᵀ x: the gradient of the weights, a sum over all samples.
pub fn gemm_dw<B: Backend>(bench: &mut Bench<'_, B>) {
    let case = ("gemm_dw", SAMPLES);
    let checks = bench.checks(case);
    let (rows, width) = size();
    let weight = Span { start: 0, len: width * width };
    let desc = LinearBackward { rows, inputs: width, outputs: width, weight, bias: None, below_norm: None };
    // The weights themselves matter only to the layer below.
    let product = |backend: &B, (weights, work): &mut Weighted<B::Buf<f32>>| {
        let delta = Delta { grad: &work.a, norm: None };
        backend.linear_backward(desc, &delta, &plain(&work.b), weights, &mut work.out, None, None)
    };
    let make = |backend: &B| {
        let a = fields(backend, &uniform(rows * width, OF_GEMM_DZ, 0.5))?;
        let b = fields(backend, &uniform(rows * width, OF_GEMM_A, 0.5))?;
        let out = backend.upload(&vec![f32::NAN; weight.len])?;
        let mut work = (backend.zeros(weight.len)?, Work { a, b, out });
        product(backend, &mut work)?;
        record(backend, &checks, &work.1.out)?;
        Ok(work)
    };
    bench.time(case, (2 * rows * width * width) as u64, make, product);
}

fn forward<B: Backend>(
    backend: &B,
    desc: Linear,
    input: &Input<'_, B, f32>,
    weight: &B::Buf<f32>,
    z: &mut B::Buf<f32>,
) -> Result<()> {
    let weight = Part::new(weight, 0, desc.inputs * desc.outputs);
    backend.linear(desc, input, weight, None, PartMut::new(z, 0, desc.rows * desc.outputs), None, None)
}

/// As training keeps z and its gradients; weights are in f32 whatever the precision.
fn fields<B: Backend>(backend: &B, values: &[f32]) -> Result<B::Buf<f32>> {
    let mut buf = backend.fields(values.len())?;
    backend.write(values, PartMut::new(&mut buf, 0, values.len()))?;
    Ok(buf)
}

fn plain<B: Backend>(x: &B::Buf<f32>) -> Input<'_, B, f32> {
    let field = Field { z: Part::new(x, 0, B::len(x)), noise: None, norm: None };
    Input::Field { field, activation: Activation::Identity, dropout: None }
}

fn record<B: Backend>(backend: &B, checks: &Checks, out: &B::Buf<f32>) -> Result<()> {
    let out = backend.download(Part::new(out, 0, B::len(out)))?;
    checks.record(&[vec![mean_magnitude(&out)], wide(&out[..size().1])].concat());
    Ok(())
}
