//! Kernels of the images that nvcc made.

use super::{Device, failed};
use crate::error::{Error, Result};
use cudarc::driver::{DriverError, result, sys};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};
use sys::CUfunction_attribute_enum::{
    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as MOST_SHARED,
    CU_FUNC_ATTRIBUTE_PTX_VERSION as COMPILED_FOR,
};

/// Images that are loaded, by their addresses.
#[derive(Default)]
pub(super) struct Modules(Mutex<HashMap<usize, sys::CUmodule>>);

/// A kernel, loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Function {
    handle: sys::CUfunction,
    /// Bytes of its one parameter.
    args: usize,
    overlaps: bool,
}

/// The compute capability from which on kernels wait by themselves, `wait_for_last_kernel()` of `kernels/common.cuh`.
const FIRST_TO_WAIT: i32 = 90;

// SAFETY: a handle of the driver, good on every thread that has bound the context.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

impl Function {
    pub(super) fn handle(self) -> sys::CUfunction {
        self.handle
    }

    /// Whether it may begin while the kernel before it is still at work, because it waits for that by itself. Set
    /// `NETDYN_OVERLAP=off` in the environment and none may.
    pub(super) fn overlaps(self) -> bool {
        self.overlaps
    }

    /// Refuses arguments that are not as long as the kernel's parameter.
    pub(super) fn check(self, args: &[u8]) -> Result<()> {
        match args.len() == self.args {
            true => Ok(()),
            false => Err(Error::Failed(format!(
                "a kernel takes {} bytes of arguments and was given {}",
                self.args,
                args.len()
            ))),
        }
    }
}

impl Modules {
    /// The image, loaded when it is first met. The context is bound.
    fn get(&self, image: &'static [u8]) -> Result<sys::CUmodule, DriverError> {
        let mut modules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match modules.entry(image.as_ptr().addr()) {
            Entry::Occupied(known) => Ok(*known.get()),
            // SAFETY: the image is a whole fatbin, and stays where it is.
            Entry::Vacant(new) => {
                Ok(*new.insert(unsafe { result::module::load_data(image.as_ptr().cast()) }?))
            }
        }
    }

    /// # Safety
    /// The context is bound, and no kernel of theirs is under way or will be launched.
    pub unsafe fn unload(&mut self) {
        for (_, module) in self.0.get_mut().unwrap_or_else(PoisonError::into_inner).drain() {
            // An error on the way out has nobody to tell.
            // SAFETY: it is loaded, and the caller's promise.
            let _ = unsafe { result::module::unload(module) };
        }
    }
}

impl Device {
    /// The kernel `entry` of an image made by nvcc, which stays loaded as long as the device is in use. `shared` is the
    /// most dynamic shared memory it will be launched with.
    pub fn load(&self, image: &'static [u8], entry: &str, shared: u32) -> Result<Function> {
        self.bind()?;
        let name = CString::new(entry).map_err(|e| Error::Failed(format!("kernel name {entry:?}: {e}")))?;
        self.modules.get(image).and_then(|module| function(module, name, shared)).map_err(|error| {
            let (major, minor) = (self.capability / 10, self.capability % 10);
            failed(&format!("load kernel {entry} for compute capability {major}.{minor}"), error)
        })
    }
}

fn function(module: sys::CUmodule, name: CString, shared: u32) -> Result<Function, DriverError> {
    let (mut offset, mut args) = (0, 0);
    // SAFETY: the module is loaded; the rest writes two numbers and asks for others.
    unsafe {
        let handle = result::module::get_function(module, name)?;
        if shared > 48 * 1024 {
            result::function::set_function_attribute(handle, MOST_SHARED, shared as i32)?;
        }
        sys::cuFuncGetParamInfo(handle, 0, &mut offset, &mut args).result()?;
        // What it was compiled for, which is less than the card where that runs the portable code.
        let compiled_for = result::function::get_function_attribute(handle, COMPILED_FOR)?;
        let overlaps = compiled_for >= FIRST_TO_WAIT
            && std::env::var_os("NETDYN_OVERLAP").is_none_or(|set| set != "off");
        Ok(Function { handle, args, overlaps })
    }
}
