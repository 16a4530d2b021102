//! Which processor the user wants, and the one place that asks which it is.

use super::{Backend, cpu, cuda};
use crate::error::{Error, Result};

/// The user's choice of device and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The CPU, with so many threads.
    Cpu {
        /// At least 1.
        threads: usize,
    },
    /// A card.
    Cuda {
        /// Its number, as the driver counts.
        ordinal: u32,
        /// Arithmetic of the matrix products.
        precision: Precision,
        /// Threads of the CPU for what is left to it.
        threads: usize,
    },
}

/// Everything that `--precision` may be, on one processor or the other.
pub const PRECISIONS: [&str; 5] = ["f32", "tf32", "bf16", "f64", "simt"];

impl Choice {
    /// The same processor, computing in the precision of this name.
    ///
    /// # Errors
    /// [`Error::Usage`] if it does not offer that.
    pub fn computing(self, precision: &str) -> Result<Choice> {
        match (self, Precision::named(precision)) {
            (Choice::Cuda { ordinal, threads, .. }, Some(precision)) => {
                Ok(Choice::Cuda { ordinal, precision, threads })
            }
            (Choice::Cuda { .. }, None) => Err(Error::Usage(format!(
                "--precision {precision}: not offered by CUDA; use f32, tf32, bf16 or simt, or --device cpu"
            ))),
            (Choice::Cpu { .. }, _) if ["f32", "f64"].contains(&precision) => Ok(self),
            (Choice::Cpu { .. }, _) => {
                Err(Error::Usage(format!("--precision {precision}: not offered by the CPU; use f32 or f64")))
            }
        }
    }

    /// What each of so many jobs takes of it: a part of the threads, at least one.
    pub fn shared_by(self, jobs: usize) -> Choice {
        let part = |threads: usize| (threads / jobs.max(1)).max(1);
        match self {
            Choice::Cpu { threads } => Choice::Cpu { threads: part(threads) },
            Choice::Cuda { ordinal, precision, threads } => {
                Choice::Cuda { ordinal, precision, threads: part(threads) }
            }
        }
    }

    /// Bytes of a card's memory; none for the CPU, whose memory is the machine's.
    ///
    /// # Errors
    /// [`Error::Device`] if the card cannot be used.
    pub fn memory(self) -> Result<Option<usize>> {
        match self {
            Choice::Cpu { .. } => Ok(None),
            Choice::Cuda { ordinal, .. } => {
                Ok(Some(cuda::card(ordinal).map_err(cuda::Missing::error)?.memory))
            }
        }
    }
}

/// Arithmetic of the matrix products on CUDA; everything else is f32, and so are products of so few operations that
/// nothing else would be faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Precision {
    /// As accurate as f32: three products of 16-bit halves on the tensor cores.
    #[default]
    F32,
    /// As TensorFloat-32: one product of scaled 16-bit values.
    Tf32,
    /// One product of bfloat16 values.
    Bf16,
    /// Plain 32-bit fused multiply-adds.
    Simt,
}

impl Precision {
    const ALL: [Precision; 4] = [Precision::F32, Precision::Tf32, Precision::Bf16, Precision::Simt];

    /// As the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
            Precision::Simt => "simt",
        }
    }

    /// That of a name, if CUDA offers it.
    pub fn named(name: &str) -> Option<Precision> {
        Precision::ALL.into_iter().find(|precision| precision.name() == name)
    }
}

/// Work for whichever backend the user chose: a generic closure, which Rust lacks.
pub trait Job {
    /// What the work answers.
    type Output;
    /// Does the work on `backend`.
    fn run<B: Backend>(self, backend: &B) -> Result<Self::Output>;
}

/// The only place in the crate that asks which backend it is.
pub fn with<J>(choice: Choice, job: J) -> Result<J::Output>
where
    J: Job<Output: Send> + Send,
{
    match choice {
        Choice::Cpu { threads } => cpu::Cpu::new(threads)?.install(|cpu| job.run(cpu)),
        Choice::Cuda { ordinal, precision, threads } => {
            let cuda = cuda::Cuda::open(ordinal, precision)?;
            cpu::Cpu::new(threads)?.install(|_| job.run(&cuda))
        }
    }
}
