//! The CUDA driver behind typed doors: one device, one stream, memory, modules, copies.
//!
//! Everything is queued on one stream, so memory that is given back may be handed out again at once: what still
//! reads it was queued before. cudarc loads the driver's library at run time and panics where it is missing, so
//! nothing here touches the driver before [`Device::open`] has looked for it.

use crate::error::{Error, Result};
use cudarc::driver::{DriverError, result, sys};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Arc, Mutex};

/// The driver of CUDA 13.0, as `cuDriverGetVersion` counts: an older one cannot load the kernels.
const OLDEST_DRIVER: i32 = 13_000;

/// A card with its one stream.
pub(super) struct Device {
    context: sys::CUcontext,
    stream: sys::CUstream,
    handle: sys::CUdevice,
    /// As the driver calls it.
    pub name: String,
    /// Compute capability, as 90 for 9.0.
    pub capability: u32,
    /// Multiprocessors.
    pub processors: u32,
    pool: Mutex<Pool>,
}

// SAFETY: the handles are the driver's, which allows any thread to use them once it has bound the context; every
// method binds it. The pool has a lock.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

/// Memory that was given back, by size.
#[derive(Default)]
struct Pool {
    free: HashMap<usize, Vec<sys::CUdeviceptr>>,
    /// Bytes in `free`.
    idle: usize,
}

impl Device {
    /// Card number `ordinal`.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no driver, it is too old, or there is no such card; the text says what to do.
    pub fn open(ordinal: u32) -> Result<Device> {
        // SAFETY: opens the library by name and closes it again.
        if !unsafe { sys::is_culib_present() } {
            return Err(no("there is no NVIDIA driver on this machine (libcuda.so.1 is not found)"));
        }
        result::init().map_err(|error| match error.0 {
            sys::CUresult::CUDA_ERROR_NO_DEVICE => no("the NVIDIA driver sees no card"),
            _ => failed("start the driver", error),
        })?;
        let mut version = 0;
        // SAFETY: writes one integer.
        unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(|e| failed("ask the driver", e))?;
        if version < OLDEST_DRIVER {
            let (major, minor) = (version / 1000, version % 1000 / 10);
            return Err(no(&format!(
                "the NVIDIA driver speaks CUDA {major}.{minor} and the kernels need 13.0: install driver 580 or newer"
            )));
        }
        let count = result::device::get_count().map_err(|e| failed("count the cards", e))?;
        if i64::from(ordinal) >= i64::from(count) {
            return Err(no(&format!("there is no card {ordinal}, this machine has {count}")));
        }
        Self::open_present(ordinal).map_err(|e| failed(&format!("open card {ordinal}"), e))
    }

    fn open_present(ordinal: u32) -> Result<Device, DriverError> {
        use sys::CUdevice_attribute as Attribute;
        let handle = result::device::get(ordinal as i32)?;
        // SAFETY: `handle` is a device, and the context is bound before anything needs it.
        unsafe {
            let attribute = |attribute| result::device::get_attribute(handle, attribute);
            let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
            let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
            let processors = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
            let context = result::primary_ctx::retain(handle)?;
            result::ctx::set_current(context)?;
            Ok(Device {
                context,
                stream: result::stream::create(result::stream::StreamKind::NonBlocking)?,
                handle,
                name: result::device::get_name(handle)?,
                capability: (10 * major + minor) as u32,
                processors: processors as u32,
                pool: Mutex::default(),
            })
        }
    }

    /// Makes this device the calling thread's.
    fn bind(&self) -> Result<()> {
        // SAFETY: the context is retained as long as `self` lives.
        unsafe { result::ctx::set_current(self.context) }.map_err(|e| failed("bind the context", e))
    }

    /// `bytes` of memory with unspecified contents, from what was given back if a block fits.
    ///
    /// # Errors
    /// [`Error::Device`] if it does not fit, with what was needed and what is free.
    pub fn alloc(self: &Arc<Self>, bytes: usize) -> Result<Memory> {
        self.bind()?;
        let size = size_class(bytes);
        let reused = {
            let mut pool = self.pool();
            let found = pool.free.get_mut(&size).and_then(Vec::pop);
            pool.idle -= if found.is_some() { size } else { 0 };
            found
        };
        let address = match reused {
            Some(address) => address,
            None => self.alloc_new(size)?,
        };
        Ok(Memory { address, size, device: self.clone() })
    }

    fn alloc_new(&self, size: usize) -> Result<sys::CUdeviceptr> {
        // SAFETY: a plain allocation; its contents are written before they are read.
        let alloc = || unsafe { result::malloc_sync(size) };
        alloc().or_else(|_| {
            // What is idle has the wrong sizes: give it back to the driver and try again.
            self.trim()?;
            alloc().map_err(|error| match error.0 {
                sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                    let (free, total) = result::mem_get_info().unwrap_or_default();
                    Error::Device(format!(
                        "out of memory on {}: {} MiB more were needed, {} of {} MiB are free; use a smaller \
                         train.batch or model.widths, or --device cpu",
                        self.name,
                        size >> 20,
                        free >> 20,
                        total >> 20
                    ))
                }
                _ => failed("allocate memory", error),
            })
        })
    }

    /// Gives idle memory back to the driver.
    fn trim(&self) -> Result<()> {
        self.synchronize()?;
        let mut pool = self.pool();
        pool.idle = 0;
        for address in std::mem::take(&mut pool.free).into_values().flatten() {
            // SAFETY: the address came from `malloc_sync`, nothing owns it, and the stream is empty.
            unsafe { result::free_sync(address) }.map_err(|e| failed("free memory", e))?;
        }
        Ok(())
    }

    /// Bytes that a new allocation could have, idle ones included, and bytes in all.
    pub fn memory(&self) -> Result<(usize, usize)> {
        self.bind()?;
        let (free, total) = result::mem_get_info().map_err(|e| failed("ask for free memory", e))?;
        Ok((free + self.pool().idle, total))
    }

    /// Queues a copy of `from` to `offset` bytes into `to`. The host's memory may be changed on return.
    pub fn copy_in(&self, from: &[u8], to: &Memory, offset: usize) -> Result<()> {
        assert!(offset + from.len() <= to.size, "{} bytes at {offset} of {}", from.len(), to.size);
        self.bind()?;
        // SAFETY: the range lies in `to`. From pageable memory the driver returns when it has read everything.
        unsafe { result::memcpy_htod_async(to.address + offset as u64, from, self.stream) }
            .map_err(|e| failed("copy to the card", e))
    }

    /// Copies from `offset` bytes into `from`, after everything queued before.
    pub fn copy_out(&self, from: &Memory, offset: usize, to: &mut [u8]) -> Result<()> {
        assert!(offset + to.len() <= from.size, "{} bytes at {offset} of {}", to.len(), from.size);
        self.bind()?;
        // SAFETY: the range lies in `from`, and `to` is borrowed until the stream is empty.
        unsafe { result::memcpy_dtoh_async(to, from.address + offset as u64, self.stream) }
            .map_err(|e| failed("copy from the card", e))?;
        self.synchronize()
    }

    /// Queues zeros over all of `memory`.
    pub fn clear(&self, memory: &Memory) -> Result<()> {
        self.bind()?;
        // SAFETY: the range is the whole block.
        unsafe { result::memset_d8_async(memory.address, 0, memory.size, self.stream) }
            .map_err(|e| failed("clear memory", e))
    }

    /// Waits for everything queued.
    pub fn synchronize(&self) -> Result<()> {
        self.bind()?;
        // SAFETY: the stream lives as long as `self`.
        unsafe { result::stream::synchronize(self.stream) }.map_err(|e| failed("run the kernels", e))
    }

    /// The kernel `entry` of an image made by nvcc; the module stays loaded. `shared` is the most dynamic shared
    /// memory it will be launched with.
    pub fn load(&self, image: &'static [u8], entry: &str, shared: u32) -> Result<Function> {
        self.bind()?;
        let doing = || format!("load kernel {entry} for compute capability {}", self.capability);
        let name = CString::new(entry).map_err(|e| Error::Failed(format!("kernel name {entry:?}: {e}")))?;
        // SAFETY: the image is a whole fatbin, and the module is never unloaded while the program runs.
        unsafe {
            let module = result::module::load_data(image.as_ptr().cast()).map_err(|e| failed(&doing(), e))?;
            let function = result::module::get_function(module, name).map_err(|e| failed(&doing(), e))?;
            if shared > 48 * 1024 {
                use sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as MOST;
                result::function::set_function_attribute(function, MOST, shared as i32)
                    .map_err(|e| failed(&doing(), e))?;
            }
            Ok(Function(function))
        }
    }

    /// Queues a kernel whose one parameter is the struct in `args`.
    ///
    /// # Safety
    /// `args` must be the bytes of the kernel's parameter, and every address in it must be good for the elements the
    /// kernel will touch, as long as the stream has not passed it.
    pub unsafe fn launch(&self, function: Function, grid: Grid, args: &[u8]) -> Result<()> {
        self.bind()?;
        let mut params = [args.as_ptr().cast_mut().cast::<c_void>()];
        let [x, y, z] = grid.blocks;
        // SAFETY: the driver copies the parameter before it returns; the rest is the caller's promise.
        unsafe {
            let threads = (grid.threads, 1, 1);
            result::launch_kernel(function.0, (x, y, z), threads, grid.shared, self.stream, &mut params)
        }
        .map_err(|e| failed("launch a kernel", e))
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // An error on the way out has nobody to tell.
        let _ = self.trim();
        // SAFETY: buffers hold the device, so none is left; the stream is empty after `trim`.
        unsafe {
            let _ = result::stream::destroy(self.stream);
            let _ = result::primary_ctx::release(self.handle);
        }
    }
}

/// A kernel, loaded.
#[derive(Clone, Copy)]
pub(super) struct Function(sys::CUfunction);

// SAFETY: a handle of the driver, good on every thread that has bound the context.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// How many blocks of how many threads, and their dynamic shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
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

/// Memory of a device; given back to its pool when dropped.
pub(super) struct Memory {
    address: sys::CUdeviceptr,
    size: usize,
    device: Arc<Device>,
}

impl Memory {
    /// Where it begins, as kernels see it.
    pub fn address(&self) -> u64 {
        self.address
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut pool = self.device.pool();
        pool.idle += self.size;
        pool.free.entry(self.size).or_default().push(self.address);
    }
}

/// Sizes are rounded up by at most an eighth, so that blocks find another use.
fn size_class(bytes: usize) -> usize {
    let step = (bytes.max(4096).next_power_of_two() / 16).max(512);
    bytes.max(1).next_multiple_of(step)
}

fn no(why: &str) -> Error {
    Error::Device(format!("cannot use a GPU: {why}"))
}

/// What to say where the driver refused `doing` something.
pub(super) fn failed(doing: &str, error: DriverError) -> Error {
    let name = error.error_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_else(|_| format!("{:?}", error.0));
    Error::Device(format!("the GPU failed to {doing}: {name}"))
}
