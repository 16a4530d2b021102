//! The nonlinearities and their slopes, over a row at a time.

use super::{Activation, Real};

/// The slope of leaky ReLU at negative fields, PyTorch's default.
const LEAK: f64 = 0.01;

/// h ← f(h).
#[inline(always)]
pub(super) fn apply<R: Real>(f: Activation, h: &mut [R]) {
    let (zero, one, leak) = (R::zero(), R::one(), R::of(LEAK));
    match f {
        Activation::Identity => {}
        // `h <= 0` and not `h > 0`: a NaN must come out as a NaN.
        Activation::Relu => each(h, |h| if h <= zero { zero } else { h }),
        Activation::LeakyRelu => each(h, |h| if h <= zero { leak * h } else { h }),
        Activation::Tanh => each(h, R::fast_tanh),
        Activation::Gaussian => each(h, |h| (-(h * h)).exp()),
        Activation::Sigmoid => each(h, |h| one / (one + (-h).exp())),
        Activation::Gelu => each(h, |h| h * normal_cdf(h)),
    }
}

/// h ← f′(h); ReLU has slope 0 at 0, as in PyTorch.
#[inline(always)]
pub(super) fn slope<R: Real>(f: Activation, h: &mut [R]) {
    let (zero, one, leak) = (R::zero(), R::one(), R::of(LEAK));
    let two = one + one;
    match f {
        Activation::Identity => h.fill(one),
        Activation::Relu => each(h, |h| if h <= zero { zero } else { one }),
        Activation::LeakyRelu => each(h, |h| if h <= zero { leak } else { one }),
        Activation::Tanh => each(h, |h| {
            let x = h.fast_tanh();
            one - x * x
        }),
        Activation::Gaussian => each(h, |h| -two * h * (-(h * h)).exp()),
        Activation::Sigmoid => each(h, |h| {
            let x = one / (one + (-h).exp());
            x * (one - x)
        }),
        Activation::Gelu => each(h, |h| normal_cdf(h) + h * normal_density(h)),
    }
}

#[inline(always)]
fn each<R: Real>(values: &mut [R], f: impl Fn(R) -> R) {
    for value in values {
        *value = f(*value);
    }
}

/// Φ(h) = (1 + erf(h/√2))/2.
#[inline(always)]
fn normal_cdf<R: Real>(h: R) -> R {
    R::of(0.5) * (R::one() + (h * R::of(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

#[inline(always)]
fn normal_density<R: Real>(h: R) -> R {
    R::of(0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2)
        * (R::of(-0.5) * h * h).exp()
}
