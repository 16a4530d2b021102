//! What the driver says of this machine, before a card is taken into use.
//!
//! cudarc loads the driver's library at run time and panics where that, or a function in it, is missing; so nothing
//! touches the driver before [`Driver::start`] has looked for it and asked its version.

use super::name_of;
use crate::error::{Error, Result};
use cudarc::driver::{DriverError, result, sys};
use std::fmt;

/// The driver of CUDA 13.0, as `cuDriverGetVersion` counts: an older one cannot load the kernels.
const OLDEST_DRIVER: i32 = 13_000;

/// Compute capability from which on the kernels have portable code, as 80 for 8.0.
const OLDEST_CARD: u32 = 80;

/// A card as the driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its number.
    pub ordinal: u32,
    /// For people.
    pub name: String,
    /// Compute capability, as 90 for 9.0.
    pub capability: u32,
    /// Multiprocessors.
    pub processors: u32,
    /// Bytes of its memory.
    pub memory: usize,
}

impl Card {
    /// Whether the kernels run on it.
    ///
    /// # Errors
    /// Why not.
    pub fn fits(&self) -> Result<(), Missing> {
        if self.capability >= OLDEST_CARD {
            return Ok(());
        }
        Err(Missing {
            why: format!(
                "{} has compute capability {}, and the kernels need {} or more",
                self.name,
                dotted(self.capability),
                dotted(OLDEST_CARD)
            ),
            remedy: "choose another card (--device cuda:N)".into(),
        })
    }
}

/// Why a card cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What is missing.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.remedy)
    }
}

impl Missing {
    /// For a user who wants the card.
    pub fn error(self) -> Error {
        Error::Device(format!("cannot use a GPU: {self}, or use --device cpu"))
    }
}

/// The driver, started.
#[derive(Clone, Copy)]
pub struct Driver {
    version: i32,
    /// How many cards it sees.
    pub count: u32,
}

impl Driver {
    /// Starts the driver, and finds that it is new enough and sees cards.
    pub fn start() -> Result<Driver, Missing> {
        // SAFETY: opens the library by name and closes it again.
        if !unsafe { sys::is_culib_present() } {
            return Err(Missing {
                why: "there is no NVIDIA driver on this machine (libcuda.so.1 is not found)".into(),
                remedy: "install driver 580 or newer".into(),
            });
        }
        let mut version = 0;
        // SAFETY: writes one integer; every driver has this function.
        unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(does_not_start)?;
        if version < OLDEST_DRIVER {
            let (has, needs) = (cuda_version(version), cuda_version(OLDEST_DRIVER));
            return Err(Missing {
                why: format!("the NVIDIA driver is too old: it knows {has}, and the kernels need {needs}"),
                remedy: "install driver 580 or newer".into(),
            });
        }
        let count = match result::init().and_then(|()| result::device::get_count()) {
            Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => 0,
            count => count.map_err(does_not_start)?,
        };
        match u32::try_from(count) {
            Ok(count) if count > 0 => Ok(Driver { version, count }),
            _ => Err(Missing {
                why: "the NVIDIA driver sees no card".into(),
                remedy: "look at nvidia-smi and at CUDA_VISIBLE_DEVICES".into(),
            }),
        }
    }

    /// As in `CUDA 13.0`.
    pub fn version(self) -> String {
        cuda_version(self.version)
    }

    /// The card of this number.
    pub fn card(self, ordinal: u32) -> Result<Card, Missing> {
        if ordinal >= self.count {
            let cards = if self.count == 1 { "card" } else { "cards" };
            return Err(Missing {
                why: format!("there is no card {ordinal}: the driver sees {} {cards}", self.count),
                remedy: "choose one that netdyn doctor lists".into(),
            });
        }
        describe(ordinal).map_err(|error| Missing {
            why: format!("card {ordinal} does not answer ({})", name_of(error)),
            remedy: "look at nvidia-smi".into(),
        })
    }
}

fn describe(ordinal: u32) -> Result<Card, DriverError> {
    use sys::CUdevice_attribute as Attribute;
    let device = result::device::get(ordinal as i32)?;
    // SAFETY: `device` is one that the driver has just named.
    let attribute = |attribute| unsafe { result::device::get_attribute(device, attribute) };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    Ok(Card {
        ordinal,
        name: result::device::get_name(device)?,
        capability: (10 * major + minor) as u32,
        processors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as u32,
        // SAFETY: as above.
        memory: unsafe { result::device::total_mem(device) }?,
    })
}

fn does_not_start(error: DriverError) -> Missing {
    Missing {
        why: format!("the NVIDIA driver does not start ({})", name_of(error)),
        remedy: "look at nvidia-smi; a restart may be due after an update of the driver".into(),
    }
}

/// As in `9.0`.
fn dotted(capability: u32) -> String {
    format!("{}.{}", capability / 10, capability % 10)
}

fn cuda_version(version: i32) -> String {
    format!("CUDA {}.{}", version / 1000, version % 1000 / 10)
}
