//! Kernels of the images that nvcc made.

use super::{Device, failed};
use crate::error::{Error, Result};
use cudarc::driver::{DriverError, result, sys};
use std::ffi::CString;

/// A kernel, loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Function {
    handle: sys::CUfunction,
    /// Bytes of its one parameter.
    args: usize,
}

// SAFETY: a handle of the driver, good on every thread that has bound the context.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

impl Function {
    pub(super) fn handle(self) -> sys::CUfunction {
        self.handle
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

impl Device {
    /// The kernel `entry` of an image made by nvcc; the module stays loaded. `shared` is the most dynamic shared
    /// memory it will be launched with.
    pub fn load(&self, image: &'static [u8], entry: &str, shared: u32) -> Result<Function> {
        self.bind()?;
        let name = CString::new(entry).map_err(|e| Error::Failed(format!("kernel name {entry:?}: {e}")))?;
        load(image, name, shared).map_err(|error| {
            let (major, minor) = (self.capability / 10, self.capability % 10);
            failed(&format!("load kernel {entry} for compute capability {major}.{minor}"), error)
        })
    }
}

fn load(image: &'static [u8], name: CString, shared: u32) -> Result<Function, DriverError> {
    let (mut offset, mut args) = (0, 0);
    // SAFETY: the image is a whole fatbin, and the module is never unloaded while the program runs.
    unsafe {
        let module = result::module::load_data(image.as_ptr().cast())?;
        let handle = result::module::get_function(module, name)?;
        if shared > 48 * 1024 {
            use sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as MOST;
            result::function::set_function_attribute(handle, MOST, shared as i32)?;
        }
        sys::cuFuncGetParamInfo(handle, 0, &mut offset, &mut args).result()?;
        Ok(Function { handle, args })
    }
}
