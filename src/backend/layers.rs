//! A run of layers in evaluation, and the plain way through it.

use super::*;

/// A linear layer and, below another one, what follows it.
pub struct Layer<'a, B: Backend, R: Real> {
    /// Rows of W.
    pub outputs: usize,
    /// W, [outputs, inputs].
    pub weight: Part<'a, B, R>,
    /// b, \[outputs\].
    pub bias: Option<Part<'a, B, R>>,
    /// With given statistics; the last layer has none.
    pub norm: Option<Norm<'a, B, R>>,
}

impl<B: Backend, R: Real> Clone for Layer<'_, B, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend, R: Real> Copy for Layer<'_, B, R> {}

/// [`Backend::forward`] by one [`Backend::linear`] after the other.
///
/// # Errors
/// [`Error::Shape`], and those of the backend.
pub fn layer_by_layer<B: Backend, R: Real>(
    backend: &B,
    desc: Forward,
    input: &Input<'_, B, R>,
    layers: &[Layer<'_, B, R>],
    fields: &mut [B::Buf<R>; 2],
    logits: PartMut<'_, B, R>,
) -> Result<()> {
    desc.check(input, layers, fields, &logits)?;
    let Forward { rows, activation, .. } = desc;
    let [mut below, mut z] = fields.each_mut();
    let mut logits = Some(logits);
    let mut inputs = desc.inputs;
    for (i, layer) in layers.iter().enumerate() {
        let x = match i.checked_sub(1) {
            None => *input,
            Some(i) => {
                let field =
                    Field { z: Part::new(below, 0, rows * inputs), noise: None, norm: layers[i].norm };
                Input::Field { field, activation, dropout: None }
            }
        };
        let outputs = layer.outputs;
        let out = match logits.take_if(|_| i + 1 == layers.len()) {
            Some(logits) => logits,
            None => PartMut::new(z, 0, rows * outputs),
        };
        backend.linear(Linear { rows, inputs, outputs }, &x, layer.weight, layer.bias, out, None, None)?;
        (below, z) = (z, below);
        inputs = outputs;
    }
    Ok(())
}
