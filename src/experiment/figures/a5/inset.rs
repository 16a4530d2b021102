//! Two samples of one digit, one that little noise carries to another class and one that bears much, as pictures.

use crate::Result;
use crate::analysis::{Cone, Cones, NoisyCopy};
use crate::backend::cpu::Cpu;
use crate::backend::{Backend, Normals, Part, PartMut, Rows};
use crate::data::Split;
use crate::store::{Image, RunDir};

/// The two samples of the digit whose basins differ most, without noise and with that of the copies measured; no
/// pictures where no digit has two samples that the network knows and loses.
pub fn images(cones: &Cones, train: &Split, dir: &RunDir) -> Result<Vec<Image>> {
    let Some((fragile, robust, (lost, kept))) = pair(cones) else { return Ok(vec![]) };
    let Some(manifest) = dir.manifest()? else { return Ok(vec![]) };
    let strongest = strongest(robust, kept.trial);
    let mut shown = vec![(fragile, None), (fragile, Some(lost)), (robust, None), (robust, Some(kept))];
    if strongest.is_some_and(|copy| copy.amplitude > kept.amplitude) {
        shown.push((robust, strongest));
    }
    let picture = |(cone, copy): (&Cone, Option<&NoisyCopy>)| {
        let caption = match copy {
            None => format!("sample {}, digit {}", cone.index, cone.label),
            Some(copy) => format!("σ = {}: taken for {}", copy.amplitude, copy.predicted),
        };
        let noise = copy.map_or((0.0, 0), |copy| (copy.amplitude, copy.trial));
        let pixels = noisy(train, cone.index, manifest.seed, noise)?;
        Ok(Image { caption, width: width(train.pixels), pixels })
    };
    shown.into_iter().map(picture).collect()
}

/// A fragile sample and a robust one of the same digit, with a copy of each under the same draw and amplitude: the
/// first that takes the fragile one to the class it is lost to and leaves the robust one its own.
fn pair(cones: &Cones) -> Option<(&Cone, &Cone, (&NoisyCopy, &NoisyCopy))> {
    let known = || cones.samples.iter().filter(|cone| cone.predicted == cone.label);
    let pairs = known().flat_map(|fragile| {
        let others = known().filter(move |robust| robust.label == fragile.label);
        others.filter_map(move |robust| Some((robust.size? / fragile.size?, fragile, robust)))
    });
    let usable = pairs.filter_map(|(ratio, fragile, robust)| {
        let lost = fragile.copies.iter().filter(|copy| Some(copy.predicted) == fragile.lost_to);
        let same = |lost: &NoisyCopy| {
            let mut copies = robust.copies.iter();
            copies.find(|copy| (copy.trial, copy.amplitude) == (lost.trial, lost.amplitude))
        };
        let mut both = lost.filter_map(|lost| Some((lost, same(lost)?)));
        let both = both.find(|(_, kept)| kept.predicted == robust.label)?;
        Some((ratio, (fragile, robust, both)))
    });
    usable.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(ratio, _)| *ratio > 1.0).map(|(_, found)| found)
}

/// The copy of this draw under the most noise up to which all copies of it keep their class.
fn strongest(cone: &Cone, trial: usize) -> Option<&NoisyCopy> {
    let copies = cone.copies.iter().filter(|copy| copy.trial == trial);
    copies.take_while(|copy| copy.predicted == cone.predicted).last()
}

/// A sample under the noise of the measurement; what leaves the range of grey is cut for the picture alone.
fn noisy(train: &Split, index: usize, seed: u64, (amplitude, trial): (f64, usize)) -> Result<Vec<u8>> {
    let clean = &train.images[index * train.pixels..][..train.pixels];
    let xi = Cpu::new(1)?.install(|cpu| {
        let cols = clean.len();
        let mut xi = cpu.zeros::<f32>(cols)?;
        let desc = Normals { rows: 1, cols, seed, trial: trial as u32, stream: 0 };
        cpu.normals(desc, Rows::From(index), PartMut::new(&mut xi, 0, cols))?;
        cpu.download(Part::new(&xi, 0, cols))
    })?;
    let grey = |(&pixel, xi): (&u8, f32)| {
        (f64::from(pixel) + 255.0 * amplitude * f64::from(xi)).round().clamp(0.0, 255.0) as u8
    };
    Ok(clean.iter().zip(xi).map(grey).collect())
}

/// The side of a square picture; other data are drawn as one row.
fn width(pixels: usize) -> usize {
    let side = pixels.isqrt();
    if side * side == pixels { side } else { pixels }
}
