//! The CUDA backend: one file per operation, the same stem as in [`Backend`] and in `kernels/`.
//!
//! Kernels are embedded in the program and run on any machine with a driver new enough; where there is none,
//! [`Cuda::open`] says why. Everything is queued on one stream. Sums are taken in a fixed order, so two runs on one
//! card give the same bits.
#![allow(unsafe_code)]

mod activate;
mod add_scaled;
mod args;
mod batch_norm;
mod buffer;
mod class_sums;
mod classes;
mod combine;
mod driver;
mod forward;
mod gram;
mod linear;
mod linear_backward;
mod loss;
mod matmul;
mod moments;
mod normals;
mod planes;
mod predict;
mod present;
mod rank_mass;
mod rank_sort;
mod sequence;
mod update;

use super::*;
pub use buffer::Buffer;
pub use driver::{Card, Counters, Missing};
use driver::{Device, Driver, Function, Grid};
use half::bf16;
pub use planes::Kept;
pub use present::{card, cards, kernels, usable_card};
pub use rank_mass::{RankMethod, RankPlan};
pub use sequence::Recording;
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

mod images {
    //! What `build.rs` made of `kernels/*.cu`.
    include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
}

/// More samples at a time would not keep a card any busier.
const MOST_ROWS: usize = 1 << 16;

/// A card. Buffers are its memory.
pub struct Cuda {
    device: Arc<Device>,
    driver: String,
    precision: Precision,
    /// Kernels met so far, by entry.
    functions: Mutex<HashMap<&'static str, Function>>,
}

impl Cuda {
    /// Card number `ordinal`, as the driver counts them.
    ///
    /// # Errors
    /// [`Error::Device`] if this build has no kernels or the card cannot be used; the text says what to do.
    pub fn open(ordinal: u32, precision: Precision) -> Result<Cuda> {
        let card = card(ordinal).map_err(Missing::error)?;
        let driver = Driver::start().map_err(Missing::error)?.version();
        Ok(Cuda { device: Arc::new(Device::open(card)?), driver, precision, functions: Mutex::default() })
    }

    /// What the card was asked to do since it was opened.
    pub fn counters(&self) -> Counters {
        self.device.counters()
    }

    /// Queues a kernel whose one parameter is `args`.
    ///
    /// # Safety
    /// `A` must be the twin of the kernel's parameter, and every address in it must be good for the elements that
    /// the kernel touches.
    unsafe fn launch<A: bytemuck::Pod>(&self, kernel: Kernel, grid: Grid, args: &A) -> Result<()> {
        let function = self.function(kernel)?;
        // SAFETY: the caller's promise. Buffers give their memory back to a pool of this same stream.
        unsafe { self.device.launch(function, grid, bytemuck::bytes_of(args)) }
    }

    /// Whether this build has the kernels of a file: some are for one architecture only.
    fn has(&self, file: &str) -> bool {
        images::KERNELS.iter().any(|&(stem, _)| stem == file)
    }

    /// The kernel, loaded when it is first met.
    fn function(&self, kernel: Kernel) -> Result<Function> {
        let mut functions = self.functions.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(&function) = functions.get(kernel.entry) {
            return Ok(function);
        }
        let image = images::KERNELS.iter().find(|(file, _)| *file == kernel.file).map(|(_, image)| *image);
        let image =
            image.ok_or_else(|| Error::Failed(format!("no kernels/{}.cu in this build", kernel.file)))?;
        let function = self.device.load(image, kernel.entry, kernel.shared)?;
        functions.insert(kernel.entry, function);
        Ok(function)
    }

    /// Memory for an operation's own use, with unspecified contents; free again when dropped.
    fn scratch<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        Buffer::new(&self.device, len)
    }
}

/// A kernel by name.
#[derive(Clone, Copy)]
struct Kernel {
    /// Stem of its file in `kernels/`.
    file: &'static str,
    /// Its name there; unique over all files.
    entry: &'static str,
    /// Most bytes of dynamic shared memory of a block.
    shared: u32,
}

impl Kernel {
    const fn new(file: &'static str, entry: &'static str) -> Kernel {
        Kernel { file, entry, shared: 0 }
    }

    const fn with_shared(self, shared: u32) -> Kernel {
        Kernel { shared, ..self }
    }
}

/// Kernels compute in f32 (and sum in f64 where an operation says so).
fn only_f32<R: Real>() -> Result<()> {
    match TypeId::of::<R>() == TypeId::of::<f32>() {
        true => Ok(()),
        false => {
            Err(Error::Usage(format!("--precision {}: runs on the CPU only; add --device cpu", R::NAME)))
        }
    }
}

impl Backend for Cuda {
    type Buf<T: Element> = Buffer<T>;
    type Recording = Recording;
    type Kept = Kept;

    fn name(&self) -> String {
        self.device.name.clone()
    }

    fn driver(&self) -> Option<String> {
        Some(self.driver.clone())
    }

    fn precision<R: Real>(&self) -> &'static str {
        self.precision.name()
    }

    fn threads(&self) -> usize {
        rayon::current_num_threads()
    }

    fn offers<R: Real>(&self) -> Result<()> {
        only_f32::<R>()
    }

    /// Half of the free memory is left to what the operations need for themselves. A power of two, so that a little
    /// more or less memory changes nothing; sums over samples depend on it in their last bits.
    fn chunk_rows(&self, bytes: usize) -> usize {
        let fit = self.device.free_memory().unwrap_or(0) / 2 / bytes.max(1);
        1 << fit.clamp(1, MOST_ROWS).ilog2()
    }

    fn room(&self) -> usize {
        self.device.free_memory().unwrap_or(0) / 4
    }

    fn upload<T: Element>(&self, host: &[T]) -> Result<Buffer<T>> {
        let buffer = Buffer::new(&self.device, host.len())?;
        self.device.copy_in(bytemuck::cast_slice(host), buffer.memory(), 0)?;
        Ok(buffer)
    }

    fn zeros<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        let buffer = Buffer::new(&self.device, len)?;
        self.device.clear(buffer.memory())?;
        Ok(buffer)
    }

    /// bf16 in bf16, as products take them then: a step moves half the bytes.
    fn fields<R: Real>(&self, len: usize) -> Result<Buffer<R>> {
        only_f32::<R>()?;
        if self.precision != Precision::Bf16 {
            return self.zeros(len);
        }
        let buffer = Buffer::new_narrow(&self.device, len)?;
        self.device.clear(buffer.memory())?;
        Ok(buffer)
    }

    fn len<T: Element>(buf: &Buffer<T>) -> usize {
        buf.len()
    }

    fn write<T: Element>(&self, host: &[T], to: PartMut<'_, Self, T>) -> Result<()> {
        shape("write", host.len() == to.span.len, || format!("{} into {:?}", host.len(), to.span))?;
        let offset = to.span.start * to.buf.pitch();
        if to.buf.is_narrow() {
            let host = Vec::from_iter(bytemuck::cast_slice(host).iter().map(|&x| bf16::from_f32(x)));
            return self.device.copy_in(bytemuck::cast_slice(&host), to.buf.memory(), offset);
        }
        self.device.copy_in(bytemuck::cast_slice(host), to.buf.memory(), offset)
    }

    fn download<T: Element>(&self, part: Part<'_, Self, T>) -> Result<Vec<T>> {
        let mut host = vec![T::default(); part.span.len];
        let offset = part.span.start * part.buf.pitch();
        if part.buf.is_narrow() {
            let mut narrow = vec![bf16::ZERO; part.span.len];
            self.device.copy_out(part.buf.memory(), offset, bytemuck::cast_slice_mut(&mut narrow))?;
            let wide = bytemuck::cast_slice_mut(&mut host).iter_mut();
            wide.zip(narrow).for_each(|(wide, narrow)| *wide = narrow.to_f32());
            return Ok(host);
        }
        self.device.copy_out(part.buf.memory(), offset, bytemuck::cast_slice_mut(&mut host))?;
        Ok(host)
    }

    fn sequence(&self, recording: &mut Recording, work: impl FnOnce() -> Result<()>) -> Result<()> {
        recording.run(&self.device, work)
    }

    fn linear<R: Real>(
        &self,
        desc: Linear,
        input: &Input<'_, Self, R>,
        weight: Part<'_, Self, R>,
        bias: Option<Part<'_, Self, R>>,
        z: PartMut<'_, Self, R>,
        moments: Option<Moments<'_, Self, R>>,
        kept: Option<&mut Kept>,
    ) -> Result<()> {
        only_f32::<R>()?;
        linear::linear(self, desc, input, weight, bias, z, moments, kept)
    }

    fn forward<R: Real>(
        &self,
        desc: Forward,
        input: &Input<'_, Cuda, R>,
        layers: &[Layer<'_, Cuda, R>],
        fields: &mut [Buffer<R>; 2],
        logits: PartMut<'_, Cuda, R>,
    ) -> Result<()> {
        only_f32::<R>()?;
        forward::forward(self, desc, input, layers, fields, logits)
    }

    fn moments<R: Real>(
        &self,
        desc: Activate,
        input: &Input<'_, Self, R>,
        moments: Moments<'_, Self, R>,
    ) -> Result<()> {
        only_f32::<R>()?;
        moments::moments(self, desc, input, moments)
    }

    fn batch_norm<R: Real>(
        &self,
        desc: BatchNorm,
        mean: Part<'_, Self, R>,
        var: Part<'_, Self, R>,
        inv_std: PartMut<'_, Self, R>,
        running: Option<Running<'_, Self, R>>,
    ) -> Result<()> {
        only_f32::<R>()?;
        batch_norm::batch_norm(self, desc, mean, var, inv_std, running)
    }

    fn loss<R: Real>(
        &self,
        desc: Loss,
        logits: Part<'_, Self, R>,
        labels: Labels<'_, Self>,
        row_loss: PartMut<'_, Self, f64>,
        grad: Option<PartMut<'_, Self, R>>,
    ) -> Result<()> {
        only_f32::<R>()?;
        loss::loss(self, desc, logits, labels, row_loss, grad)
    }

    fn linear_backward<R: Real>(
        &self,
        desc: LinearBackward,
        delta: &Delta<'_, Self, R>,
        input: &Input<'_, Self, R>,
        params: &Buffer<R>,
        grads: &mut Buffer<R>,
        below: Option<&mut Buffer<R>>,
        kept: Option<&Kept>,
    ) -> Result<()> {
        only_f32::<R>()?;
        linear_backward::linear_backward(self, desc, delta, input, params, grads, below, kept)
    }

    fn update<R: Real>(
        &self,
        desc: Update,
        params: &mut Buffer<R>,
        grads: &Buffer<R>,
        first: &mut Buffer<R>,
        second: &mut Buffer<R>,
        status: &mut Buffer<u32>,
    ) -> Result<()> {
        only_f32::<R>()?;
        update::update(self, desc, params, grads, first, second, status)
    }

    fn predict<R: Real>(
        &self,
        desc: Predict,
        logits: Part<'_, Self, R>,
        predicted: PartMut<'_, Self, u8>,
    ) -> Result<()> {
        only_f32::<R>()?;
        predict::predict(self, desc, logits, predicted)
    }

    fn activate<R: Real>(
        &self,
        desc: Activate,
        input: &Input<'_, Self, R>,
        x: PartMut<'_, Self, R>,
    ) -> Result<()> {
        only_f32::<R>()?;
        activate::activate(self, desc, input, x)
    }

    fn normals<R: Real>(&self, desc: Normals, rows: Rows<'_, Self>, out: PartMut<'_, Self, R>) -> Result<()> {
        only_f32::<R>()?;
        normals::normals(self, desc, rows, out)
    }

    fn add_scaled<R: Real>(
        &self,
        alpha: f64,
        x: Part<'_, Self, R>,
        y: Part<'_, Self, R>,
        out: PartMut<'_, Self, R>,
    ) -> Result<()> {
        only_f32::<R>()?;
        add_scaled::add_scaled(self, alpha, x, y, out)
    }

    fn rank_mass<R: Real>(
        &self,
        desc: RankMass,
        field: &Field<'_, Self, R>,
        labels: Labels<'_, Self>,
        mass: PartMut<'_, Self, f64>,
    ) -> Result<()> {
        only_f32::<R>()?;
        rank_mass::rank_mass(self, desc, field, labels, mass)
    }

    fn class_sums<R: Real>(
        &self,
        desc: ClassSums,
        input: &Input<'_, Self, R>,
        labels: Labels<'_, Self>,
        sums: PartMut<'_, Self, f64>,
    ) -> Result<()> {
        only_f32::<R>()?;
        class_sums::class_sums(self, desc, input, labels, sums)
    }

    fn class_cosines<R: Real>(
        &self,
        desc: ClassSums,
        input: &Input<'_, Self, R>,
        labels: Labels<'_, Self>,
        centres: Part<'_, Self, f64>,
        cosines: PartMut<'_, Self, f64>,
    ) -> Result<()> {
        only_f32::<R>()?;
        class_sums::class_cosines(self, desc, input, labels, centres, cosines)
    }

    fn gram<R: Real>(
        &self,
        desc: Gram,
        input: &Input<'_, Self, R>,
        targets: Part<'_, Self, R>,
        centre: Part<'_, Self, f64>,
        products: PartMut<'_, Self, f64>,
    ) -> Result<()> {
        only_f32::<R>()?;
        gram::gram(self, desc, input, targets, centre, products)
    }
}
