//! Whether buffers fit the descriptions, and what is wrong with data that no description shows: written once for all
//! backends.

use super::*;

impl<B: Backend, T: Element> Part<'_, B, T> {
    /// Whether it has `len` elements, all inside its buffer.
    pub(crate) fn fits(&self, len: usize) -> bool {
        within(self.span, B::len(self.buf), len)
    }
}

impl<B: Backend, T: Element> PartMut<'_, B, T> {
    /// Whether it has `len` elements, all inside its buffer.
    pub(crate) fn fits(&self, len: usize) -> bool {
        within(self.span, B::len(self.buf), len)
    }
}

impl<B: Backend, R: Real> Moments<'_, B, R> {
    /// Whether both runs have `features` elements.
    pub(crate) fn fits(&self, features: usize) -> bool {
        [self.mean, self.var].iter().all(|&span| within(span, B::len(self.buf), features))
    }
}

impl<B: Backend> Rows<'_, B> {
    /// Whether `rows` rows of a set of `samples` can take part. What a list holds is not looked at.
    pub(crate) fn fits(&self, rows: usize, samples: usize) -> bool {
        match self {
            Rows::From(first) => first + rows <= samples,
            Rows::Listed { index, start } => start + rows <= B::len(index),
        }
    }
}

impl<B: Backend> Labels<'_, B> {
    /// Whether there are labels for `rows` rows.
    pub(crate) fn fits(&self, rows: usize) -> bool {
        self.rows.fits(rows, B::len(self.labels))
    }
}

impl<B: Backend, R: Real> Input<'_, B, R> {
    /// Whether it stands for an x of [rows, features].
    pub(crate) fn fits(&self, rows: usize, features: usize) -> bool {
        match self {
            Input::Pixels { pixels, rows: which, .. } => {
                features > 0
                    && B::len(pixels).is_multiple_of(features)
                    && which.fits(rows, B::len(pixels) / features)
            }
            Input::Field { field, .. } => field.fits(rows, features),
        }
    }
}

impl<B: Backend, R: Real> Field<'_, B, R> {
    /// Whether it stands for an h of [rows, features].
    pub(crate) fn fits(&self, rows: usize, features: usize) -> bool {
        let noise = |noise: Noise<'_, B, R>| noise.xi.fits(rows * features) && noise.amplitude.fits(rows);
        self.z.fits(rows * features)
            && self.noise.is_none_or(noise)
            && self.norm.is_none_or(|norm| norm.fits(features))
    }
}

impl<B: Backend, R: Real> Norm<'_, B, R> {
    /// Whether every part has `features` elements.
    pub(crate) fn fits(&self, features: usize) -> bool {
        [self.mean, self.inv_std, self.gamma, self.beta].iter().all(|part| part.fits(features))
    }
}

impl NormSpans {
    fn fit(self, buffer: usize, features: usize) -> bool {
        within(self.gamma, buffer, features) && within(self.beta, buffer, features)
    }
}

impl Linear {
    /// Whether the arguments of [`Backend::linear`] fit.
    pub(crate) fn check<B: Backend, R: Real>(
        &self,
        input: &Input<'_, B, R>,
        weight: &Part<'_, B, R>,
        bias: &Option<Part<'_, B, R>>,
        z: &PartMut<'_, B, R>,
        moments: &Option<Moments<'_, B, R>>,
    ) -> Result<()> {
        let &Linear { rows, inputs, outputs } = self;
        let fits = [
            ("sizes", rows * inputs * outputs > 0),
            ("input", input.fits(rows, inputs)),
            ("weight", weight.fits(outputs * inputs)),
            ("bias", bias.is_none_or(|bias| bias.fits(outputs))),
            ("z", z.fits(rows * outputs)),
            ("moments", moments.as_ref().is_none_or(|moments| moments.fits(outputs))),
        ];
        require("linear", self, &fits)
    }
}

impl Forward {
    /// Whether the arguments of [`Backend::forward`] fit.
    pub(crate) fn check<B: Backend, R: Real>(
        &self,
        input: &Input<'_, B, R>,
        layers: &[Layer<'_, B, R>],
        fields: &[B::Buf<R>; 2],
        logits: &PartMut<'_, B, R>,
    ) -> Result<()> {
        let &Forward { rows, inputs, .. } = self;
        let Some((last, hidden)) = layers.split_last() else {
            return require("forward", self, &[("layers", false)]);
        };
        let mut below = inputs;
        let layers_fit = layers.iter().all(|layer| {
            let inputs = std::mem::replace(&mut below, layer.outputs);
            layer.outputs > 0
                && layer.weight.fits(layer.outputs * inputs)
                && layer.bias.is_none_or(|bias| bias.fits(layer.outputs))
                && layer.norm.is_none_or(|norm| norm.fits(layer.outputs))
        });
        let widest = hidden.iter().map(|layer| layer.outputs).max().unwrap_or(0);
        let fits = [
            ("sizes", rows * inputs > 0),
            ("input", input.fits(rows, inputs)),
            ("layers", layers_fit),
            ("norm of the last layer", last.norm.is_none()),
            ("fields", fields.iter().all(|field| B::len(field) >= rows * widest)),
            ("logits", logits.fits(rows * last.outputs)),
        ];
        require("forward", self, &fits)
    }
}

impl BatchNorm {
    /// Whether the arguments of [`Backend::batch_norm`] fit.
    pub(crate) fn check<B: Backend, R: Real>(
        &self,
        mean: &Part<'_, B, R>,
        var: &Part<'_, B, R>,
        inv_std: &PartMut<'_, B, R>,
        running: &Option<Running<'_, B, R>>,
    ) -> Result<()> {
        let features = self.features;
        let fits = [
            // The unbiased variance of one sample does not exist.
            ("rows", self.rows > usize::from(running.is_some())),
            ("mean", mean.fits(features)),
            ("var", var.fits(features)),
            ("inv_std", inv_std.fits(features)),
            ("running", running.as_ref().is_none_or(|running| running.moments.fits(features))),
            ("status", running.as_ref().is_none_or(|running| B::len(running.status) == 2)),
        ];
        require("batch_norm", self, &fits)
    }
}

impl Loss {
    /// Whether the arguments of [`Backend::loss`] fit.
    pub(crate) fn check<B: Backend, R: Real>(
        &self,
        logits: &Part<'_, B, R>,
        labels: &Labels<'_, B>,
        row_loss: &PartMut<'_, B, f64>,
        grad: &Option<PartMut<'_, B, R>>,
    ) -> Result<()> {
        let &Loss { rows, classes, .. } = self;
        let fits = [
            ("sizes", rows * classes > 0),
            ("logits", logits.fits(rows * classes)),
            ("labels", labels.fits(rows)),
            ("row_loss", row_loss.fits(rows)),
            ("grad", grad.as_ref().is_none_or(|grad| grad.fits(rows * classes))),
        ];
        require("loss", self, &fits)
    }
}

impl LinearBackward {
    /// Whether the arguments of [`Backend::linear_backward`] fit.
    pub(crate) fn check<B: Backend, R: Real>(
        &self,
        delta: &Delta<'_, B, R>,
        input: &Input<'_, B, R>,
        params: &B::Buf<R>,
        grads: &B::Buf<R>,
        below: Option<&B::Buf<R>>,
    ) -> Result<()> {
        let &LinearBackward { rows, inputs, outputs, .. } = self;
        let flat = B::len(params);
        let normalised = |delta: &DeltaNorm<'_, B, R>| {
            delta.z.fits(rows * outputs) && delta.norm.fits(outputs) && delta.at.fit(flat, outputs)
        };
        let below_norm = self.below_norm.is_none_or(|at| {
            let field_has_norm = matches!(input, Input::Field { field, .. } if field.norm.is_some());
            field_has_norm && at.fit(flat, inputs)
        });
        let fits = [
            ("sizes", rows * inputs * outputs > 0),
            ("delta", B::len(delta.grad) >= rows * outputs),
            ("norm of delta", delta.norm.as_ref().is_none_or(normalised)),
            ("input", input.fits(rows, inputs)),
            ("weight", within(self.weight, flat, outputs * inputs)),
            ("bias", self.bias.is_none_or(|bias| within(bias, flat, outputs))),
            ("norm below", below_norm),
            ("grads", B::len(grads) == flat),
            ("below", below.is_none_or(|below| B::len(below) >= rows * inputs)),
        ];
        require("linear_backward", self, &fits)
    }
}

impl Update {
    /// Whether the arguments of [`Backend::update`] fit.
    pub(crate) fn check<B: Backend, R: Real>(
        &self,
        params: &B::Buf<R>,
        grads: &B::Buf<R>,
        first: &B::Buf<R>,
        second: &B::Buf<R>,
        status: &B::Buf<u32>,
    ) -> Result<()> {
        let len = B::len(params);
        let (needs_first, needs_second) = match self.optimizer {
            Optimizer::Sgd { momentum } => (momentum != 0.0, false),
            Optimizer::Adam { .. } | Optimizer::AdamW { .. } => (true, true),
        };
        let fits = [
            ("step", self.step > 0),
            ("grads", B::len(grads) == len),
            ("first", !needs_first || B::len(first) == len),
            ("second", !needs_second || B::len(second) == len),
            ("status", B::len(status) == 2),
        ];
        require("update", self, &fits)
    }
}

impl Predict {
    /// Whether the arguments of [`Backend::predict`] fit.
    pub(crate) fn check<B: Backend, R: Real>(
        &self,
        logits: &Part<'_, B, R>,
        predicted: &PartMut<'_, B, u8>,
    ) -> Result<()> {
        let fits = [
            ("classes", (1..=256).contains(&self.classes)),
            ("logits", logits.fits(self.rows * self.classes)),
            ("predicted", predicted.fits(self.rows)),
        ];
        require("predict", self, &fits)
    }
}

impl Activate {
    /// Whether the arguments of [`Backend::activate`] fit.
    pub(crate) fn check<B: Backend, R: Real>(
        &self,
        input: &Input<'_, B, R>,
        x: &PartMut<'_, B, R>,
    ) -> Result<()> {
        let &Activate { rows, features } = self;
        let fits = [
            ("sizes", rows * features > 0),
            ("input", input.fits(rows, features)),
            ("x", x.fits(rows * features)),
        ];
        require("activate", self, &fits)
    }

    /// Whether the arguments of [`Backend::moments`] fit.
    pub(crate) fn check_moments<B: Backend, R: Real>(
        &self,
        input: &Input<'_, B, R>,
        moments: &Moments<'_, B, R>,
    ) -> Result<()> {
        let &Activate { rows, features } = self;
        let fits = [
            ("sizes", rows * features > 0),
            ("input", input.fits(rows, features)),
            ("moments", moments.fits(features)),
        ];
        require("moments", self, &fits)
    }
}

impl Normals {
    /// Whether the arguments of [`Backend::normals`] fit.
    pub(crate) fn check<B: Backend, R: Real>(
        &self,
        rows: &Rows<'_, B>,
        out: &PartMut<'_, B, R>,
    ) -> Result<()> {
        const WORDS: usize = u32::MAX as usize + 1; // row ids and columns are counter words
        let fits = [
            ("rows", rows.fits(self.rows, WORDS)),
            ("columns", self.cols.div_ceil(4) <= WORDS),
            ("out", out.fits(self.rows * self.cols)),
        ];
        require("normals", self, &fits)
    }
}

impl RankMass {
    /// Whether the arguments of [`Backend::rank_mass`] fit.
    pub(crate) fn check<B: Backend, R: Real>(
        &self,
        field: &Field<'_, B, R>,
        labels: &Labels<'_, B>,
        mass: &PartMut<'_, B, f64>,
    ) -> Result<()> {
        let &RankMass { rows, neurons, classes, bins } = self;
        let fits = [
            ("sizes", rows * neurons * classes * bins > 0),
            // Samples and bins are counted in 32 bits, parts of the rank axis in 64.
            ("rank axis", rows.max(2 * bins) <= u32::MAX as usize),
            ("field", field.fits(rows, neurons)),
            ("labels", labels.fits(rows)),
            ("mass", mass.fits(neurons * classes * bins)),
        ];
        require("rank_mass", self, &fits)
    }
}

impl ClassSums {
    /// Whether the arguments of [`Backend::class_sums`] fit.
    pub(crate) fn check_sums<B: Backend, R: Real>(
        &self,
        input: &Input<'_, B, R>,
        labels: &Labels<'_, B>,
        sums: &PartMut<'_, B, f64>,
    ) -> Result<()> {
        let &ClassSums { rows, features, classes } = self;
        let fits = [
            ("sizes", rows * features * classes > 0),
            ("input", input.fits(rows, features)),
            ("labels", labels.fits(rows)),
            ("sums", sums.fits(classes * features)),
        ];
        require("class_sums", self, &fits)
    }

    /// Whether the arguments of [`Backend::class_cosines`] fit.
    pub(crate) fn check_cosines<B: Backend, R: Real>(
        &self,
        input: &Input<'_, B, R>,
        labels: &Labels<'_, B>,
        centres: &Part<'_, B, f64>,
        cosines: &PartMut<'_, B, f64>,
    ) -> Result<()> {
        let &ClassSums { rows, features, classes } = self;
        let fits = [
            ("sizes", rows * features * classes > 0),
            ("input", input.fits(rows, features)),
            ("labels", labels.fits(rows)),
            ("centres", centres.fits(classes * features)),
            ("cosines", cosines.fits(rows)),
        ];
        require("class_cosines", self, &fits)
    }
}

impl Gram {
    /// Whether the arguments of [`Backend::gram`] fit.
    pub(crate) fn check<B: Backend, R: Real>(
        &self,
        input: &Input<'_, B, R>,
        targets: &Part<'_, B, R>,
        centre: &Part<'_, B, f64>,
        products: &PartMut<'_, B, f64>,
    ) -> Result<()> {
        let &Gram { rows, features, targets: columns } = self;
        let fits = [
            ("sizes", rows * features > 0),
            ("input", input.fits(rows, features)),
            ("targets", targets.fits(rows * columns)),
            ("centre", centre.fits(features + columns)),
            ("products", products.fits(features * (features + columns))),
        ];
        require("gram", self, &fits)
    }
}

/// Whether the arguments of [`Backend::add_scaled`] fit.
pub(crate) fn add_scaled<B: Backend, R: Real>(
    x: &Part<'_, B, R>,
    y: &Part<'_, B, R>,
    out: &PartMut<'_, B, R>,
) -> Result<()> {
    let len = out.span.len;
    let fits = [("x", x.fits(len)), ("y", y.fits(len)), ("out", out.fits(len))];
    require("add_scaled", &out.span, &fits)
}

/// [`Error::Shape`] naming the first argument that does not fit.
pub(crate) fn require(op: &'static str, desc: &dyn Debug, fits: &[(&str, bool)]) -> Result<()> {
    match fits.iter().find(|(_, fits)| !fits) {
        None => Ok(()),
        Some((what, _)) => Err(Error::Shape { op, what: format!("{what} of the wrong size for {desc:?}") }),
    }
}

/// A label that is none of the classes.
pub(crate) fn unknown_class(op: &str, label: u8, sample: usize, classes: usize) -> Error {
    Error::Failed(format!(
        "{op}: label {label} of sample {sample} is none of the network's {classes} classes; use a data set with \
         labels below {classes}"
    ))
}

/// A local field that has no rank.
pub(crate) fn rank_of_nan(neuron: usize) -> Error {
    Error::Failed(format!(
        "rank_mass: the local field of neuron {neuron} is NaN for some sample, so it has no rank; the network has \
         diverged, look at an earlier snapshot"
    ))
}

fn within(span: Span, buffer: usize, len: usize) -> bool {
    span.len == len && span.range().end <= buffer
}
