//! One value for each class, with its error.

use super::super::Setting;
use super::super::basins::Sizes;
use super::super::curves::Estimate;
use super::{FIRST_HIDDEN, LINEAR, NET, class_basins, linear_accuracy, ranks, samples};
use crate::Result;
use crate::analysis::{Accuracy, Basin, ClassBasin, LayerRpd, Rpd};
use crate::experiment::Runs;
use crate::experiment::claims::accuracy_error;
use crate::model::BnMode;
use crate::store::{Series, Style};

/// Where the curves of panel (a) end, and with them the sizes.
pub const END: f64 = 1.5;

/// A value for each class that has one.
pub struct ByClass {
    /// Class by class.
    pub values: Vec<Option<Estimate>>,
    /// A value of this size is none: up to it no edge was found, in one repetition at least.
    pub end: f64,
}

/// The basin of a class in each of several measurements.
pub fn of(basins: &[Basin], class: usize) -> impl Iterator<Item = &ClassBasin> {
    let classes = basins.iter().flat_map(|basin| basin.per_class.iter().flatten());
    classes.filter(move |found| found.class == class)
}

/// The layer of panel (b).
pub fn first_hidden(rpd: &Rpd) -> Option<&LayerRpd> {
    rpd.layers.iter().find(|layer| layer.layer == FIRST_HIDDEN)
}

impl ByClass {
    /// Values that have no end.
    pub fn new(values: impl Iterator<Item = Option<Estimate>>) -> ByClass {
        ByClass { values: values.collect(), end: f64::INFINITY }
    }

    /// The classes with values, but for those at the end.
    pub fn within(&self) -> impl Iterator<Item = (usize, Estimate)> {
        let there = self.values.iter().enumerate().filter_map(|(class, value)| Some((class, (*value)?)));
        there.filter(|(_, value)| value.mean < self.end)
    }

    /// A value in words.
    pub fn text(&self, value: Estimate, digits: usize) -> String {
        if value.mean < self.end { value.text(digits) } else { format!("no edge up to {}", self.end) }
    }

    /// Sizes of the sample basins of the deep network, up to [`END`].
    pub fn basins(setting: &Setting, runs: &Runs, mode: BnMode) -> Result<ByClass> {
        let basins: Vec<Basin> = runs.found(NET, &class_basins(setting, mode))?;
        let labels = runs.train.labels.iter().take(samples(setting));
        let mut counts = vec![0; setting.classes];
        labels.for_each(|label| counts[usize::from(*label)] += 1);
        let size = |class: usize| {
            let mut sizes = Sizes::default();
            for found in of(&basins, class) {
                // Where noise itself is taken for this class, its accuracy does not fall; a mean would need an edge.
                if found.size.is_some_and(|size| size >= END) {
                    return Some(Estimate { mean: END, error: Some(0.0) });
                }
                sizes.add(found.size, found.curve.as_deref().unwrap_or_default(), counts[class]);
            }
            sizes.estimate()
        };
        Ok(ByClass { values: (0..setting.classes).map(size).collect(), end: END })
    }

    /// RPD gradients of the deep network's first hidden layer.
    pub fn gradients(setting: &Setting, runs: &Runs, mode: BnMode) -> Result<ByClass> {
        let found: Vec<Rpd> = runs.found(NET, &ranks(setting, mode))?;
        let gradient = |class: usize| {
            let layers = found.iter().filter_map(first_hidden);
            let values: Vec<f64> = layers.filter_map(|layer| *layer.class_gradient.get(class)?).collect();
            (!values.is_empty()).then(|| Estimate::of(&values))
        };
        Ok(ByClass::new((0..setting.classes).map(gradient)))
    }

    /// Test accuracies of the linear network.
    pub fn linear(setting: &Setting, runs: &Runs, mode: BnMode) -> Result<ByClass> {
        let found: Vec<Accuracy> = runs.found(LINEAR, &linear_accuracy(setting, mode))?;
        let counts = runs.test.per_class();
        let accuracy = |class: usize| {
            let values: Vec<f64> = found.iter().filter_map(|found| *found.per_class.get(class)?).collect();
            let mean = Estimate::of(&values);
            let error = Some(accuracy_error(mean, counts.get(class).copied()?));
            (!values.is_empty()).then_some(Estimate { error, ..mean })
        };
        Ok(ByClass::new((0..setting.classes).map(accuracy)))
    }

    /// The values over the classes, with their errors; none if there is no value.
    pub fn drawn(&self, label: &str, color: usize) -> Option<Series> {
        let there = || self.values.iter().enumerate().filter_map(|(class, value)| Some((class, (*value)?)));
        let points: Vec<(f64, f64)> = there().map(|(class, value)| (class as f64, value.mean)).collect();
        let error = Some(there().map(|(_, value)| value.error).collect());
        (!points.is_empty()).then(|| Series { error, ..Series::new(label, Style::Points, color, &points) })
    }
}
