//! Tensor maps: how the copies of `kernels/hopper.cuh` find a tile of a matrix in memory.

use super::{Device, failed};
use crate::Result;
use bytemuck::{Pod, Zeroable};
use cudarc::driver::sys;

/// `TensorMap` of `kernels/hopper.cuh`, a part of a kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(128))]
pub struct TensorMap([u64; 16]);

/// Matrices of 16-bit elements, one behind the other.
pub struct Stack {
    /// Address of the first element.
    pub data: u64,
    pub planes: u32,
    pub rows: u32,
    pub columns: u32,
    /// Elements from a matrix to the next.
    pub plane_stride: u64,
    /// Elements from a row to the next.
    pub pitch: u32,
}

/// Columns of a box: 128 bytes, which the swizzle asks for.
const BOX_COLUMNS: u32 = 64;

impl Device {
    /// How to copy boxes of `box_rows` rows through all planes of `stack`. What lies outside reads as zero.
    ///
    /// # Errors
    /// [`crate::Error::Device`] if the driver refuses it, as where something is not aligned to 16 bytes.
    pub fn tensor_map(&self, stack: &Stack, box_rows: u32) -> Result<TensorMap> {
        self.bind()?;
        const BYTES: u64 = 2;
        let sizes = [stack.columns, stack.rows, stack.planes].map(u64::from);
        let strides = [u64::from(stack.pitch) * BYTES, stack.plane_stride * BYTES];
        let boxes = [BOX_COLUMNS, box_rows, stack.planes];
        let mut map = sys::CUtensorMap { opaque: [0; 16] };
        // SAFETY: the arrays are as long as the rank wants, the strides one shorter. The driver only does arithmetic
        // on the address.
        unsafe {
            sys::cuTensorMapEncodeTiled(
                &mut map,
                // Copies do not look into elements, so this stands for bf16 and fp16 alike.
                sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_UINT16,
                sizes.len() as u32,
                stack.data as *mut _,
                sizes.as_ptr(),
                strides.as_ptr(),
                boxes.as_ptr(),
                [1; 3].as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        }
        .result()
        .map_err(|error| failed("describe a matrix to its copy engine", error))?;
        Ok(TensorMap(map.opaque))
    }
}
