//! A tensor as bytes, and the numbers in it.

use half::{bf16, f16};
use safetensors::Dtype;

/// An array with its shape, as it is stored: little-endian, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Vec<u8>,
}

impl Tensor {
    /// `values`, as many as `shape` says; writing a tensor of which this is not true fails.
    pub fn of<T: Stored>(shape: &[usize], values: &[T]) -> Tensor {
        let mut bytes = Vec::with_capacity(size_of_val(values));
        values.iter().for_each(|value| value.put(&mut bytes));
        Tensor { dtype: T::DTYPE, shape: shape.to_owned(), bytes }
    }

    /// The numbers, if they are stored as `T`.
    pub fn values<T: Stored>(&self) -> Option<Vec<T>> {
        (self.dtype == T::DTYPE).then(|| self.bytes.chunks_exact(size_of::<T>()).map(T::get).collect())
    }

    /// Length of every side.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers in f64, exact from any of the four floating-point types.
    pub(super) fn wide(&self) -> Option<Vec<f64>> {
        let wide16 = |of: fn([u8; 2]) -> f64| self.bytes.chunks_exact(2).map(|b| of([b[0], b[1]])).collect();
        match self.dtype {
            Dtype::F64 => self.values::<f64>(),
            Dtype::F32 => self.values::<f32>().map(|v| v.into_iter().map(f64::from).collect()),
            Dtype::F16 => Some(wide16(|b| f16::from_le_bytes(b).to_f64())),
            Dtype::BF16 => Some(wide16(|b| bf16::from_le_bytes(b).to_f64())),
            _ => None,
        }
    }
}

/// A number type that tensors are written in.
pub trait Stored: Copy {
    /// Its name in the file.
    const DTYPE: Dtype;
    /// Appends the bytes of one number.
    fn put(self, bytes: &mut Vec<u8>);
    /// The number in `bytes`, which are as many as the type has.
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! stored {
    ($($number:ty: $dtype:ident),+) => {$(
        impl Stored for $number {
            const DTYPE: Dtype = Dtype::$dtype;

            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }

            fn get(bytes: &[u8]) -> Self {
                let mut whole = [0; size_of::<$number>()];
                whole.copy_from_slice(bytes);
                Self::from_le_bytes(whole)
            }
        }
    )+};
}
stored!(f32: F32, f64: F64, u8: U8, u32: U32, u64: U64);
