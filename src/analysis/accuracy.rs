//! How often, and how surely, a network is right.

use super::Options;
use crate::backend::{Backend, LossKind, Real};
use crate::data::Which;
use crate::model::{Net, Samples, outcome};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Accuracies are fractions; the predicted class is that of the largest logit, the lowest among equals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// On the training set, if it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<f64>,
    /// On the test set, if it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<f64>,
    /// Mean softmax cross-entropy, whatever the network was trained with.
    pub loss: f64,
    /// Mean over samples and classes of the squared difference to one-hot targets.
    pub mse: f64,
    /// Share of each class that is predicted right, \[K\]; none for a class without samples.
    pub per_class: Vec<Option<f64>>,
}

/// Accuracy and losses on the first `options.limit` samples of a split.
///
/// # Errors
/// [`Error::Usage`] if there is no sample; [`Error::Failed`] if a logit is not finite.
pub fn accuracy<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    samples: &Samples<B>,
    split: Which,
    options: &Options,
) -> Result<Accuracy> {
    let rows = options.rows(samples.len)?;
    let outcome = outcome(net, samples, rows, options.bn)?;
    if let Some(sample) = outcome.cross_entropy.iter().position(|loss| !loss.is_finite()) {
        return Err(Error::Failed(format!(
            "the logits of sample {sample} of the {split} set are not finite: the weights are too large for {}",
            R::NAME
        )));
    }
    let labels = &samples.host_labels[..rows];
    let share = outcome.accuracy(labels);
    let (train, test) = match split {
        Which::Train => (Some(share), None),
        Which::Test => (None, Some(share)),
    };
    let class = |k: usize| {
        let of_class = labels.iter().zip(&outcome.predicted).filter(|(label, _)| usize::from(**label) == k);
        let (count, right) = of_class.fold((0, 0), |(n, right), (y, p)| (n + 1, right + usize::from(y == p)));
        (count > 0).then(|| right as f64 / count as f64)
    };
    Ok(Accuracy {
        train,
        test,
        loss: outcome.loss(LossKind::CrossEntropy),
        mse: outcome.loss(LossKind::Mse),
        per_class: (0..net.spec.classes()).map(class).collect(),
    })
}
