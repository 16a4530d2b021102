//! Tensor maps: how the copies of `kernels/hopper.cuh` find a tile of a matrix in memory.

use super::driver;
use super::matmul::Operand;
use crate::Result;
use bytemuck::{Pod, Zeroable};
use cudarc::driver::sys;

/// `TensorMap` of `kernels/hopper.cuh`, a part of a kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(128))]
pub(super) struct TensorMap([u64; 16]);

/// Columns of a box: 128 bytes, which the swizzle asks for.
const BOX_COLUMNS: u32 = 64;

impl TensorMap {
    /// Of all planes of `operand` [rows, columns], in boxes of `box_rows` rows. What lies outside reads as zero.
    ///
    /// # Errors
    /// [`crate::Error::Device`] if the driver does not take it, as a pitch or address that is not aligned to 16 bytes.
    pub fn new(operand: &Operand, rows: u32, columns: u32, box_rows: u32) -> Result<TensorMap> {
        const BYTES: u64 = 2;
        let sizes = [columns, rows, operand.planes].map(u64::from);
        let strides = [u64::from(operand.pitch) * BYTES, operand.plane_stride * BYTES];
        let boxes = [BOX_COLUMNS, box_rows, operand.planes];
        let mut map = sys::CUtensorMap { opaque: [0; 16] };
        // SAFETY: the driver only does arithmetic on the address; the arrays are as long as the rank wants, the strides
        // one shorter.
        unsafe {
            sys::cuTensorMapEncodeTiled(
                &mut map,
                // Copies do not look into elements, so this stands for bf16 and fp16 alike.
                sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_UINT16,
                sizes.len() as u32,
                operand.data as *mut _,
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
        .map_err(|error| driver::failed("describe a matrix to its copy engine", error))?;
        Ok(TensorMap(map.opaque))
    }
}
