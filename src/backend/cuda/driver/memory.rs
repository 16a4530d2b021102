//! Memory of the card, from a pool.
//!
//! Everything is queued on one stream, so memory that is given back may be handed out again at once: what still
//! reads it was queued before. A thread that records a sequence has queued nothing yet, so what it gives back is its
//! own until the sequence runs.

use super::{Device, failed, sequence::State};
use crate::error::{Error, Result};
use cudarc::driver::{result, sys};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Memory that was given back, by size and address.
///
/// The lowest address goes first: from the same state the same requests get the same addresses, so that a step's
/// kernels get the same arguments as those of the step before.
#[derive(Default)]
pub(super) struct Pool {
    free: BTreeMap<usize, BTreeSet<sys::CUdeviceptr>>,
    /// Bytes in `free`.
    idle: usize,
}

impl Pool {
    pub fn take(&mut self, size: usize) -> Option<sys::CUdeviceptr> {
        let address = self.free.get_mut(&size)?.pop_first()?;
        self.idle -= size;
        Some(address)
    }

    pub fn give(&mut self, size: usize, address: sys::CUdeviceptr) {
        self.idle += size;
        self.free.entry(size).or_default().insert(address);
    }

    /// Moves everything of `other` here.
    pub fn absorb(&mut self, other: Pool) {
        for (size, addresses) in other.free {
            addresses.into_iter().for_each(|address| self.give(size, address));
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = sys::CUdeviceptr> + use<> {
        std::mem::take(self).free.into_values().flatten()
    }
}

impl Device {
    /// `bytes` of memory with unspecified contents, from what was given back if a block fits.
    ///
    /// # Errors
    /// [`Error::Memory`] if it does not fit.
    pub fn alloc(self: &Arc<Self>, bytes: usize) -> Result<Memory> {
        self.bind()?;
        let size = size_class(bytes);
        let reused = self.state().take(size);
        let address = match reused {
            Some(address) => address,
            None => self.alloc_new(size)?,
        };
        Ok(Memory { address, size, device: self.clone() })
    }

    fn alloc_new(&self, size: usize) -> Result<sys::CUdeviceptr> {
        self.state().counters.allocations += 1;
        // SAFETY: a plain allocation; its contents are written before they are read.
        let alloc = || unsafe { result::malloc_sync(size) };
        alloc().or_else(|_| {
            // What is idle has the wrong sizes: give it back to the driver and try again.
            self.trim()?;
            alloc().map_err(|error| match error.0 {
                sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                    let (free, total) = result::mem_get_info().unwrap_or_default();
                    let advice = "stop what else uses the card, or use --device cpu".into();
                    Error::Memory { device: self.name.clone(), needed: size, free, total, advice }
                }
                _ => failed("allocate memory", error),
            })
        })
    }

    /// Gives idle memory back to the driver.
    pub(super) fn trim(&self) -> Result<()> {
        // First: what others give back from here on may still be in use.
        let idle = Vec::from_iter(self.state().pool.drain());
        self.wait()?;
        for address in idle {
            // SAFETY: the address came from `malloc_sync`, nothing owns it, and the stream has passed its last use.
            unsafe { result::free_sync(address) }.map_err(|e| failed("free memory", e))?;
        }
        Ok(())
    }

    /// Bytes that new allocations could have, idle ones included.
    pub fn free_memory(&self) -> Result<usize> {
        self.bind()?;
        let (free, _) = result::mem_get_info().map_err(|e| failed("ask for free memory", e))?;
        Ok(free + self.state().pool.idle)
    }

    /// Whether new allocations could have half of the card's memory.
    pub fn is_half_free(&self) -> Result<bool> {
        self.bind()?;
        let (free, total) = result::mem_get_info().map_err(|e| failed("ask for free memory", e))?;
        Ok(free + self.state().pool.idle >= total / 2)
    }

    /// Queues zeros over all of `memory`.
    pub fn clear(&self, memory: &Memory) -> Result<()> {
        self.outside_sequence()?;
        self.bind()?;
        // SAFETY: the range is the whole block.
        unsafe { result::memset_d8_async(memory.address, 0, memory.size, self.stream) }
            .map_err(|e| failed("clear memory", e))
    }
}

/// Memory of a device; given back to its pool when dropped.
pub struct Memory {
    address: sys::CUdeviceptr,
    size: usize,
    device: Arc<Device>,
}

impl Memory {
    /// Where it begins, as kernels see it.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Address of `bytes` bytes from `offset` on, all inside.
    pub(super) fn at(&self, offset: usize, bytes: usize) -> sys::CUdeviceptr {
        assert!(offset + bytes <= self.size, "{bytes} bytes at {offset} of {}", self.size);
        self.address + offset as u64
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let state: &mut State = &mut self.device.state();
        state.give(self.size, self.address);
    }
}

/// Sizes are rounded up by at most an eighth, so that blocks find another use.
fn size_class(bytes: usize) -> usize {
    let step = (bytes.max(4096).next_power_of_two() / 16).max(512);
    bytes.max(1).next_multiple_of(step)
}
