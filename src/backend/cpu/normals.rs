//! Counter-based standard normals: Philox4x32-10 words, then Box–Muller in f64.
//!
//! Every stage is a loop over a block of counters without branches, so that it vectorises; there is no
//! fused multiply-add and no library function, so that bits do not depend on the instruction set.

use super::*;
use crate::rng::philox;
use rayon::prelude::*;

/// Counters worked on together: a few vectors of any width, and little waste at the end of a row.
const BLOCK: usize = 16;
/// Rows of one task.
const ROWS: usize = 16;

/// ξ [rows, cols], see [`Backend::normals`].
///
/// The four words of counter (row id, j, trial, stream) give elements 4j…4j+3 of the row: words (0, 1) the
/// first two and words (2, 3) the others, a pair being √(−2 ln u₁)·cos 2πu₂ and √(−2 ln u₁)·sin 2πu₂ with
/// u = (word + ½)·2⁻³². Source: Salmon et al., SC 2011; Box and Muller, 1958.
pub(super) fn normals<R: Real>(desc: Normals, rows: Rows<'_, Cpu>, out: PartMut<'_, Cpu, R>) -> Result<()> {
    desc.check(&rows, &out)?;
    let arch = pulp::Arch::new();
    out.slice().par_chunks_mut(ROWS * desc.cols.max(1)).enumerate().for_each(|(task, out)| {
        arch.dispatch(Fill { desc, rows, first: task * ROWS, out });
    });
    Ok(())
}

/// Fills rows of the output from row `first` on. A closure would not do: pulp reaches it through a shim
/// that is compiled for the baseline instruction set.
struct Fill<'a, R> {
    desc: Normals,
    rows: Rows<'a, Cpu>,
    first: usize,
    out: &'a mut [R],
}

impl<R: Real> pulp::WithSimd for Fill<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (i, out) in self.out.chunks_exact_mut(self.desc.cols).enumerate() {
            fill_row(self.desc, self.rows.at(self.first + i) as u32, out);
        }
    }
}

#[inline(always)]
fn fill_row<R: Real>(desc: Normals, row: u32, out: &mut [R]) {
    for (block, out) in out.chunks_mut(4 * BLOCK).enumerate() {
        let values = normal_block(desc, row, (block * BLOCK) as u32);
        if let Ok(out) = <&mut [R; 4 * BLOCK]>::try_from(&mut *out) {
            interleave(&values, out);
        } else {
            let mut whole = [R::zero(); 4 * BLOCK];
            interleave(&values, &mut whole);
            out.copy_from_slice(&whole[..out.len()]);
        }
    }
}

/// The four normals of `BLOCK` counters from `first` on, by position in the counter's output.
#[inline(always)]
fn normal_block(desc: Normals, row: u32, first: u32) -> [[f64; BLOCK]; 4] {
    let mut words = [[0; BLOCK]; 4];
    for i in 0..BLOCK {
        let word = philox(desc.seed, [row, first.wrapping_add(i as u32), desc.trial, desc.stream]);
        for (words, word) in words.iter_mut().zip(word) {
            words[i] = word;
        }
    }
    let mut values = [[0.0; BLOCK]; 4];
    for i in 0..BLOCK {
        (values[0][i], values[1][i]) = box_muller(words[0][i], words[1][i]);
    }
    for i in 0..BLOCK {
        (values[2][i], values[3][i]) = box_muller(words[2][i], words[3][i]);
    }
    values
}

#[inline(always)]
fn interleave<R: Real>(values: &[[f64; BLOCK]; 4], out: &mut [R; 4 * BLOCK]) {
    for i in 0..BLOCK {
        for k in 0..4 {
            out[4 * i + k] = R::of(values[k][i]);
        }
    }
}

#[inline(always)]
fn box_muller(first: u32, second: u32) -> (f64, f64) {
    let radius = (-2.0 * ln_unit(first)).sqrt();
    let (sin, cos) = sin_cos_turn(second);
    (radius * cos, radius * sin)
}

/// 2⁵² + n for n < 2⁵², assembled in the mantissa: a conversion that every instruction set vectorises.
#[inline(always)]
fn shifted(n: u64) -> f64 {
    f64::from_bits(0x4330_0000_0000_0000 | n)
}
const SHIFT: f64 = 4_503_599_627_370_496.0;

/// ln((word + ½)·2⁻³²) to about one unit in the last place.
///
/// With word + ½ = 2ᵏ·(1 + f), 1 + f in [√½, √2), and s = f/(2 + f), ln(1 + f) = f − s·(f − R(s²)): the
/// scheme and the coefficients of fdlibm's `e_log.c`.
#[inline(always)]
fn ln_unit(word: u32) -> f64 {
    const SQRT_HALF: u64 = 0x3FE6_A09E_667F_3BCD;
    const ONE: u64 = 0x3FF0_0000_0000_0000;
    const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;

    let x = shifted(u64::from(word)) - SHIFT + 0.5;
    let bits = x.to_bits() + (ONE - SQRT_HALF);
    let k = shifted(bits >> 52) - (SHIFT + 1023.0 + 32.0);
    let f = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) + SQRT_HALF) - 1.0;

    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * (0.399_999_999_994_094_2 + w * (0.222_221_984_321_497_84 + w * 0.153_138_376_992_093_73));
    let odd = z
        * (0.666_666_666_666_673_5
            + w * (0.285_714_287_436_623_9 + w * (0.181_835_721_616_180_5 + w * 0.147_981_986_051_165_86)));
    let half = 0.5 * f * f;
    k * LN2_HIGH - ((half - (s * (half + (even + odd)) + k * LN2_LOW)) - f)
}

/// Sine and cosine of 2π·(word + ½)·2⁻³², to about one unit in the last place.
///
/// The nearest quarter turn is split off in integers, exactly; the rest is at most an eighth of a turn, where
/// the polynomials of fdlibm's `k_sin.c` and `k_cos.c` hold.
#[inline(always)]
fn sin_cos_turn(word: u32) -> (f64, f64) {
    const EIGHTH: u32 = 1 << 29;
    const TURN: f64 = 2.0 * std::f64::consts::PI / 4_294_967_296.0;

    let moved = word.wrapping_add(EIGHTH);
    let quarter = u64::from(moved >> 30);
    let rest = shifted(u64::from(moved & ((1 << 30) - 1))) - SHIFT - (f64::from(EIGHTH) - 0.5);

    let x = rest * TURN;
    let z = x * x;
    let sin = x + x
        * z
        * (-0.166_666_666_666_666_32
            + z * (0.008_333_333_333_322_49
                + z * (-0.000_198_412_698_298_579_5
                    + z * (2.755_731_370_707_006_8e-6
                        + z * (-2.505_076_025_340_686_3e-8 + z * 1.589_690_995_211_55e-10)))));
    let cos = 1.0 - 0.5 * z
        + z * z
            * (0.041_666_666_666_666_6
                + z * (-0.001_388_888_888_887_411
                    + z * (2.480_158_728_947_673e-5
                        + z * (-2.755_731_435_139_066_3e-7
                            + z * (2.087_572_321_298_175e-9 + z * -1.135_964_755_778_819_5e-11)))));

    // Quarter turns swap the two on odd numbers; signs follow the quadrant.
    let swap = (quarter & 1).wrapping_neg();
    let (sin, cos) = (sin.to_bits(), cos.to_bits());
    let sin_sign = (quarter >> 1) << 63;
    let cos_sign = ((quarter + 1) >> 1 & 1) << 63;
    let exchange = (sin ^ cos) & swap;
    (f64::from_bits(sin ^ exchange ^ sin_sign), f64::from_bits(cos ^ exchange ^ cos_sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::unit;

    /// Both ends, all quadrant and octant borders, and a spread of words between.
    fn words() -> impl Iterator<Item = u32> {
        let borders = (0..=8u64).map(|eighth| eighth << 29);
        let edges = borders.flat_map(|b| (0..8).map(move |i| (b + i).wrapping_sub(4) as u32));
        edges.chain((0..1_000_000u32).map(|i| i.wrapping_mul(2_654_435_769)))
    }

    #[test]
    fn logarithm_is_accurate() {
        for word in words() {
            let (got, want) = (ln_unit(word), unit(word).ln());
            assert!((got - want).abs() <= 4.0 * f64::EPSILON * want.abs(), "{word}: {got:e}, want {want:e}");
        }
    }

    #[test]
    fn sine_and_cosine_are_accurate() {
        for word in words() {
            let (sin, cos) = (2.0 * std::f64::consts::PI * unit(word)).sin_cos();
            let got = sin_cos_turn(word);
            // The reference rounds its own argument, which costs up to half a unit of 2π.
            assert!((got.0 - sin).abs() <= 1e-15 && (got.1 - cos).abs() <= 1e-15, "{word}: {got:?}");
        }
    }
}
