//! From bytes to the numbers a network sees.

/// How bytes become network inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputScale {
    /// byte/255, in [0, 1].
    Unit,
    /// (byte/255 − mean)/std.
    Affine {
        /// Subtracted.
        mean: f64,
        /// Divided by; positive.
        std: f64,
    },
}

impl InputScale {
    /// MNIST's customary standardisation.
    pub const STANDARDIZED: InputScale = InputScale::Affine { mean: 0.1307, std: 0.3081 };

    /// `(scale, shift)` with x = scale · byte + shift.
    pub fn of_byte(self) -> (f64, f64) {
        match self {
            InputScale::Unit => (1.0 / 255.0, 0.0),
            InputScale::Affine { mean, std } => (1.0 / (255.0 * std), -mean / std),
        }
    }

    /// Factor from the unit range [0, 1] to the network's range: noise of amplitude a there is `a · factor` here.
    pub fn of_unit(self) -> f64 {
        match self {
            InputScale::Unit => 1.0,
            InputScale::Affine { std, .. } => 1.0 / std,
        }
    }
}

impl std::fmt::Display for InputScale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            InputScale::Unit => write!(f, "unit"),
            InputScale::STANDARDIZED => write!(f, "standardized"),
            InputScale::Affine { mean, std } => write!(f, "{mean},{std}"),
        }
    }
}

impl std::str::FromStr for InputScale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unit" => Ok(InputScale::Unit),
            "standardized" => Ok(InputScale::STANDARDIZED),
            _ => {
                let (mean, std) = text
                    .split_once(',')
                    .and_then(|(mean, std)| Some((mean.trim().parse().ok()?, std.trim().parse().ok()?)))
                    .filter(|(mean, std): &(f64, f64)| mean.is_finite() && std.is_finite() && *std > 0.0)
                    .ok_or_else(|| {
                        format!(
                            "input scaling '{text}' is neither unit, standardized nor MEAN,STD with STD > 0"
                        )
                    })?;
                Ok(InputScale::Affine { mean, std })
            }
        }
    }
}
