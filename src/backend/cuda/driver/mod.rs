//! The CUDA driver behind typed doors: one device, one stream. All unsafe code but the launches is here.
//!
//! Launches, copies and memory given back are all in the order of the one stream.

mod graph;
mod load;
mod memory;
mod sequence;
mod survey;
mod tensor_map;
mod transfer;

pub use graph::Graph;
pub use load::Function;
pub use memory::Memory;
pub use sequence::{Counters, Launches};
pub use survey::{Card, Driver, Missing};
pub use tensor_map::{Stack, TensorMap};

use crate::error::{Error, Result};
use cudarc::driver::{DriverError, result, sys};
use load::Modules;
use sequence::State;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};
use transfer::Transfers;

/// A card with its one stream.
pub struct Device {
    context: sys::CUcontext,
    stream: sys::CUstream,
    handle: sys::CUdevice,
    /// As the driver calls it.
    pub name: String,
    /// Compute capability, as 90 for 9.0.
    pub capability: u32,
    /// Multiprocessors.
    pub processors: u32,
    modules: Modules,
    state: Mutex<State>,
    transfers: Transfers,
}

// SAFETY: the handles are the driver's, which allows any thread to use them once it has bound the context; every
// method binds it. What changes has locks.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    /// Takes a card into use.
    ///
    /// # Errors
    /// [`Error::Device`] if the kernels do not run on it or the driver refuses it.
    pub fn open(card: Card) -> Result<Device> {
        card.fits().map_err(Missing::error)?;
        let ordinal = card.ordinal;
        Self::open_fitting(card).map_err(|e| failed(&format!("open card {ordinal}"), e))
    }

    fn open_fitting(card: Card) -> Result<Device, DriverError> {
        let handle = result::device::get(card.ordinal as i32)?;
        // SAFETY: `handle` is a device, and the context is bound before anything needs it.
        unsafe {
            let context = result::primary_ctx::retain(handle)?;
            result::ctx::set_current(context)?;
            Ok(Device {
                context,
                stream: result::stream::create(result::stream::StreamKind::NonBlocking)?,
                handle,
                name: card.name,
                capability: card.capability,
                processors: card.processors,
                modules: Modules::default(),
                state: Mutex::default(),
                transfers: Transfers::default(),
            })
        }
    }

    /// Makes this device the calling thread's.
    fn bind(&self) -> Result<()> {
        // SAFETY: the context is retained as long as `self` lives.
        unsafe { result::ctx::set_current(self.context) }.map_err(|e| failed("bind the context", e))
    }

    /// Queues a kernel whose one parameter is the struct in `args`; inside a sequence that is recorded, at its end.
    ///
    /// # Safety
    /// `args` must be the bytes of the kernel's parameter, and every address in it must be good for the elements the
    /// kernel will touch, as long as the stream has not passed it.
    pub unsafe fn launch(&self, function: Function, grid: Grid, args: &[u8]) -> Result<()> {
        function.check(args)?;
        if self.state().note(function, grid, args) {
            return Ok(());
        }
        self.bind()?;
        let mut params = [args.as_ptr().cast_mut().cast::<c_void>()];
        let [x, y, z] = grid.blocks;
        let mut overlap = sys::CUlaunchAttribute {
            id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: [0; 4],
            value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
        };
        let config = sys::CUlaunchConfig {
            gridDimX: x,
            gridDimY: y,
            gridDimZ: z,
            blockDimX: grid.threads,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: grid.shared,
            hStream: self.stream,
            attrs: &mut overlap,
            numAttrs: function.overlaps().into(),
        };
        // SAFETY: the driver copies the parameter before it returns; the rest is the caller's promise.
        unsafe { sys::cuLaunchKernelEx(&config, function.handle(), params.as_mut_ptr(), null_mut()) }
            .result()
            .map_err(|e| failed("launch a kernel", e))
    }

    /// Waits for everything queued.
    fn wait(&self) -> Result<()> {
        self.bind()?;
        // SAFETY: the stream lives as long as `self`.
        unsafe { result::stream::synchronize(self.stream) }.map_err(|e| failed("run the kernels", e))
    }

    /// What it was asked to do so far.
    pub fn counters(&self) -> Counters {
        self.state().counters
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // An error on the way out has nobody to tell.
        let _ = self.trim();
        self.transfers = Transfers::default();
        // SAFETY: buffers and graphs hold the device, so none is left; the stream is empty after `trim`, which has bound the
        // context.
        unsafe {
            self.modules.unload();
            let _ = result::stream::destroy(self.stream);
            let _ = result::primary_ctx::release(self.handle);
        }
    }
}

/// How many blocks of how many threads, and their dynamic shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Blocks by dimension.
    pub blocks: [u32; 3],
    /// Threads of a block, along x.
    pub threads: u32,
    /// Bytes of dynamic shared memory of a block.
    pub shared: u32,
}

impl Grid {
    /// Blocks of `threads` threads for `items` items, one a thread.
    pub fn cover(items: usize, threads: u32) -> Grid {
        Grid { blocks: [items.div_ceil(threads as usize) as u32, 1, 1], threads, shared: 0 }
    }
}

/// What to say where the driver refused `doing` something.
pub(super) fn failed(doing: &str, error: DriverError) -> Error {
    Error::Device(format!("the GPU failed to {doing}: {}", name_of(error)))
}

/// As in the driver's manual.
fn name_of(error: DriverError) -> String {
    let name = error.error_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|_| format!("{:?}", error.0))
}
