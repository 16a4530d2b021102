//! f32 and f64 as engine numbers.

use super::Real;

impl Real for f32 {
    const NAME: &'static str = "f32";
    #[inline(always)]
    fn of(value: f64) -> f32 {
        value as f32
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn fast_tanh(self) -> f32 {
        tanh(self)
    }
    #[inline(always)]
    fn erf(self) -> f32 {
        libm::erff(self)
    }
}

impl Real for f64 {
    const NAME: &'static str = "f64";
    #[inline(always)]
    fn of(value: f64) -> f64 {
        value
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn fast_tanh(self) -> f64 {
        self.tanh()
    }
    #[inline(always)]
    fn erf(self) -> f64 {
        libm::erf(self)
    }
}

/// Both branches of Cephes' `tanhf` computed and one chosen, so that a loop over it has no branch: an odd
/// polynomial near 0, where `1 − 2/(e²ˣ + 1)` would cancel, and that formula elsewhere.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let square = a * a;
    let mut near = -5.704_988_7e-3;
    for coefficient in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        near = near * square + coefficient;
    }
    let near = near * square * a + a;
    // From 9.02 on tanh rounds to 1; the comparison is written so that NaN passes.
    let twice = if a > 10.0 { 20.0 } else { 2.0 * a };
    let far = 1.0 - 2.0 / (exp(twice) + 1.0);
    (if a < 0.625 { near } else { far }).copysign(x)
}

/// eˣ for 0 ≤ x ≤ 20: x = n ln 2 + r, a polynomial for eʳ (Cephes `expf`), and n added to the exponent.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts; n times the first is exact.
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let mut p = 1.987_569_2e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        p = p * r + coefficient;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    (p * r * r + r + 1.0) * power
}
