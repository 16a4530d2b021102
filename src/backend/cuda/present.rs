//! What this build and this machine have, before a card is taken into use.

use super::driver::{Card, Driver, Missing};
use super::images;
use crate::error::Result;

/// What the kernels of this build are compiled for and by; or why there are none, and what to do.
pub fn kernels() -> Result<&'static str, &'static str> {
    images::ABOUT
}

/// The driver, as in `CUDA 13.0`, and all cards that it sees.
///
/// # Errors
/// Why there are none.
pub fn cards() -> Result<(String, Vec<Card>), Missing> {
    let driver = Driver::start()?;
    let cards = (0..driver.count).map(|ordinal| driver.card(ordinal)).collect::<Result<_, _>>()?;
    Ok((driver.version(), cards))
}

/// The first card on which the kernels of this build run.
///
/// # Errors
/// Why there is none.
pub fn usable_card() -> Result<Card, Missing> {
    built()?;
    let (_, mut cards) = cards()?;
    let first = cards.iter().position(|card| card.fits().is_ok()).unwrap_or(0);
    let card = cards.swap_remove(first);
    card.fits()?;
    Ok(card)
}

/// Card number `ordinal`, if the kernels of this build run on it.
///
/// # Errors
/// Why not.
pub fn card(ordinal: u32) -> Result<Card, Missing> {
    built()?;
    let card = Driver::start()?.card(ordinal)?;
    card.fits()?;
    Ok(card)
}

fn built() -> Result<(), Missing> {
    let Err(why) = kernels() else { return Ok(()) };
    let (why, remedy) = why.split_once("; ").unwrap_or((why, "build again with nvcc"));
    Err(Missing { why: format!("this build has no CUDA kernels, since {why}"), remedy: remedy.into() })
}
