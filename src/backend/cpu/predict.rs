//! Index of the largest logit of every row.

use super::*;

pub(super) fn predict<R: Real>(
    desc: Predict,
    logits: Part<'_, Cpu, R>,
    predicted: PartMut<'_, Cpu, u8>,
) -> Result<()> {
    desc.check(&logits, &predicted)?;
    for (logits, predicted) in logits.slice().chunks_exact(desc.classes).zip(predicted.slice()) {
        let mut best = 0;
        for (class, &logit) in logits.iter().enumerate() {
            // The first number beats a NaN before it; later equals beat nobody.
            if logit > logits[best] || (logits[best].is_nan() && !logit.is_nan()) {
                best = class;
            }
        }
        *predicted = best as u8;
    }
    Ok(())
}
