//! From numbers to places along an axis, and where its ticks stand.

use crate::store::Axis;

/// Larger magnitudes count as not finite: their differences would overflow.
const HUGE: f64 = 1e300;
/// Smaller positive numbers cannot stand on a log axis, nor smaller spans on a linear one.
const TINY: f64 = 1e-280;
/// Narrower ranges, relative to their size, are drawn as one value: labels could not tell it apart.
const NARROW: f64 = 1e-6;

/// What an axis maps: `low` to 0, `high` to 1; both are decimal logarithms on a log axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

/// A place on the axis, 0…1. Minor ticks have no label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub at: f64,
    pub label: Option<String>,
}

impl Scale {
    /// The axis' own limits if they are usable, else those of `values` and `pad` of their span beyond.
    pub fn new(axis: &Axis, values: impl Iterator<Item = f64>, pad: f64) -> Scale {
        let unit = Scale { low: 0.0, high: 1.0, log: axis.log };
        if let Some([low, high]) = axis.range
            && let (Some(low), Some(high)) = (unit.coordinate(low), unit.coordinate(high))
            && high - low > (NARROW * low.abs().max(high.abs())).max(TINY)
        {
            return Scale { low, high, ..unit };
        }
        let (low, high) = values
            .filter_map(|value| unit.coordinate(value))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            return unit;
        }
        let size = low.abs().max(high.abs());
        let span = high - low;
        if span <= (NARROW * size).max(TINY) {
            let around = if axis.log || size <= TINY { 0.5 } else { 0.1 * size };
            return Scale { low: low - around, high: high + around, ..unit };
        }
        Scale { low: low - pad * span, high: high + pad * span, ..unit }
    }

    /// Where `value` stands, 0…1 within the limits; `None` if the axis has no place for it.
    pub fn place(&self, value: f64) -> Option<f64> {
        let at = (self.coordinate(value)? - self.low) / (self.high - self.low);
        Some(at.clamp(-1e6, 1e6)) // far outside is far enough
    }

    /// About `wanted` labelled ticks, rising, and minor ones on a log axis.
    pub fn ticks(&self, wanted: usize) -> Vec<Tick> {
        let wanted = wanted.max(2) as f64;
        let mut ticks = if self.log { self.log_ticks(wanted) } else { self.linear_ticks(wanted) };
        ticks.retain(|tick| (-1e-9..=1.0 + 1e-9).contains(&tick.at));
        ticks
    }

    /// How many whole numbers, at most, lie within the limits of a linear axis.
    pub fn whole_numbers(&self) -> Option<usize> {
        let count = (self.high - self.low).ceil();
        (!self.log && count < 1e6).then_some(count as usize)
    }

    /// The power of ten by which the labels of a linear axis are divided; 0 for handy numbers.
    pub fn power(&self) -> i32 {
        let size = self.low.abs().max(self.high.abs());
        if self.log || (1e-3..1e6).contains(&size) { 0 } else { size.log10().floor() as i32 }
    }

    fn coordinate(&self, value: f64) -> Option<f64> {
        let drawable = if self.log { value >= TINY } else { true };
        (drawable && value.abs() <= HUGE).then(|| if self.log { value.log10() } else { value })
    }

    fn linear_ticks(&self, wanted: f64) -> Vec<Tick> {
        let unit = 10f64.powi(self.power());
        let (low, high) = (self.low / unit, self.high / unit);
        let tick = |(value, label)| Tick { at: (value - low) / (high - low), label: Some(label) };
        round_values(low, high, wanted).into_iter().map(tick).collect()
    }

    fn log_ticks(&self, wanted: f64) -> Vec<Tick> {
        let at = |exponent: f64| (exponent - self.low) / (self.high - self.low);
        let decades = self.low.floor() as i32..=self.high.ceil() as i32;
        let inside = decades.clone().filter(|&d| (self.low..=self.high).contains(&f64::from(d))).count();
        if self.high - self.low < 0.5 {
            // Too short for 1-2-5: round values, placed by their logarithm.
            let handy = (-3.0..6.0).contains(&self.low);
            let power = if handy { 0 } else { self.low.floor() as i32 };
            let factor = if handy { String::new() } else { format!("·10{}", superscript(power)) };
            let shift = f64::from(power);
            return round_values(10f64.powf(self.low - shift), 10f64.powf(self.high - shift), wanted)
                .into_iter()
                .filter(|(value, _)| *value > 0.0)
                .map(|(value, label)| Tick { at: at(value.log10() + shift), label: Some(label + &factor) })
                .collect();
        }
        // Powers of ten are short, so they may stand closer than decimal numbers.
        let every = (inside as f64 / (1.5 * wanted)).ceil().max(1.0) as i32;
        let mut ticks = Vec::new();
        for decade in decades {
            let labelled = decade.rem_euclid(every) == 0;
            let label = labelled.then(|| power_label(1, decade, inside));
            ticks.push(Tick { at: at(f64::from(decade)), label });
            // Between decades that are not all labelled, nine more lines would be noise.
            let last = if every == 1 { 9 } else { 1 };
            for digit in 2..=last {
                let labelled = inside < 2 && matches!(digit, 2 | 5);
                let label = labelled.then(|| power_label(digit, decade, inside));
                ticks.push(Tick { at: at(f64::from(decade) + f64::from(digit).log10()), label });
            }
        }
        ticks
    }
}

/// Multiples of 1, 2, 2.5 or 5 times a power of ten within `low..=high`, with their labels.
fn round_values(low: f64, high: f64, wanted: f64) -> Vec<(f64, String)> {
    let raw = (high - low) / wanted;
    let power = raw.log10().floor();
    let unit = 10f64.powf(power);
    let factor = [1.0, 2.0, 2.5, 5.0].into_iter().find(|f| f * unit >= raw * 0.999).unwrap_or(10.0);
    let step = factor * unit;
    let exact = -power + if factor == 2.5 { 1.0 } else { 0.0 } - if factor == 10.0 { 1.0 } else { 0.0 };
    let decimals = exact.clamp(0.0, 12.0) as usize;
    let slack = 1e-9 * (high - low);
    let (first, last) = (((low - slack) / step).ceil() as i64, ((high + slack) / step).floor() as i64);
    (first..=last).map(|i| i as f64 * step).map(|value| (value, decimal(value, decimals))).collect()
}

/// `-1234.5` as `−1,234.5`.
fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let zero = text.chars().all(|c| matches!(c, '0' | '.'));
    let mut label = String::from(if value < 0.0 && !zero { "−" } else { "" });
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            label.push(',');
        }
        label.push(digit);
    }
    label + rest
}

/// `digit · 10^decade`: as a power of ten, or as a plain number where few decades are in view.
fn power_label(digit: i32, decade: i32, inside: usize) -> String {
    if inside < 2 && (-3..=5).contains(&decade) {
        return decimal(f64::from(digit) * 10f64.powi(decade), (-decade).max(0) as usize);
    }
    let power = format!("10{}", superscript(decade));
    if digit == 1 { power } else { format!("{digit}·{power}") }
}

/// `-12` as `⁻¹²`.
pub(super) fn superscript(number: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raise = |c: char| c.to_digit(10).map_or('⁻', |digit| DIGITS[digit as usize]);
    number.to_string().chars().map(raise).collect()
}
