//! `--device` and `--precision`: the processor that the user means, or the best one that is there.

use crate::backend::{Choice, Precision, cuda};
use crate::{Error, Result};
use clap::ValueEnum;
use std::str::FromStr;

/// `--device`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// A card if one can be used, else the CPU.
    Auto,
    Cpu,
    /// The card of this number.
    Cuda(u32),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            "cuda" => Ok(Device::Cuda(0)),
            _ => match text.strip_prefix("cuda:").map(str::parse) {
                Some(Ok(ordinal)) => Ok(Device::Cuda(ordinal)),
                _ => Err("use auto, cpu, cuda or cuda:N".into()),
            },
        }
    }
}

/// `--precision`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrecisionName {
    /// 32 bits; on CUDA as accurate, on the tensor cores.
    F32,
    /// TensorFloat-32, on CUDA.
    Tf32,
    /// bfloat16, on CUDA.
    Bf16,
    /// 64 bits, on the CPU.
    F64,
    /// Plain 32-bit multiply-adds, on CUDA.
    Simt,
}

/// The processor chosen, and the line that says which and why.
pub struct Processor {
    pub choice: Choice,
    pub line: String,
}

impl Processor {
    /// The CPU or a card, computing in `precision`; `threads` of the CPU in any case.
    ///
    /// # Errors
    /// [`Error::Usage`] for a precision that the processor does not have, [`Error::Device`] for a card that is not
    /// there or cannot be used.
    pub fn choose(device: Device, precision: &str, threads: usize) -> Result<Processor> {
        let cpu = |why: &str| Processor {
            choice: Choice::Cpu { threads },
            line: format!("device: cpu, {threads} threads{why}"),
        };
        match device {
            Device::Cpu => cpu("").computing(precision),
            Device::Cuda(ordinal) => {
                let cuda = Choice::Cuda { ordinal, precision: Precision::default(), threads };
                let choice = cuda.computing(precision)?;
                let card = cuda::card(ordinal).map_err(cuda::Missing::error)?;
                Ok(Processor { choice, line: line(&card, precision, "") })
            }
            Device::Auto if precision == "f64" => Ok(cpu(" (auto: f64 runs on the CPU)")),
            Device::Auto => match cuda::usable_card() {
                Ok(card) => Processor {
                    choice: Choice::Cuda { ordinal: card.ordinal, precision: Precision::default(), threads },
                    line: line(&card, precision, " (auto)"),
                }
                .computing(precision),
                Err(missing) => cpu(&format!(" (auto: {})", missing.why))
                    .computing(precision)
                    .map_err(|error| Error::Usage(format!("{error}; no GPU can be used: {missing}"))),
            },
        }
    }

    fn computing(self, precision: &str) -> Result<Processor> {
        Ok(Processor { choice: self.choice.computing(precision)?, ..self })
    }
}

/// `device: NVIDIA H100 PCIe (cuda:0), f32 (auto)`
fn line(card: &cuda::Card, precision: &str, why: &str) -> String {
    format!("device: {} (cuda:{}), {precision}{why}", card.name, card.ordinal)
}
