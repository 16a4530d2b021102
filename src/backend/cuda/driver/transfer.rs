//! Copies between the host and the card, through memory that is locked in place: only from there does the card copy
//! while the host goes on.

use super::{Device, Memory, failed};
use crate::error::Result;
use cudarc::driver::{result, sys};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a piece of locked memory, and of a copy.
const PIECE: usize = 1 << 20;
/// Pieces on the way to the card: so much may be written before the host has to wait for the card.
const UPLOADS: usize = 4;
/// Pieces on the way from the card: one is copied out while the next one arrives.
const DOWNLOADS: usize = 2;
/// Where small writes begin within a piece.
const ALIGNMENT: usize = 64;

/// Locked memory for both ways, made when it is first needed.
#[derive(Default)]
pub(super) struct Transfers {
    up: Mutex<Uploads>,
    down: Mutex<Vec<Piece>>,
}

/// A ring of pieces. Small writes share one.
#[derive(Default)]
struct Uploads {
    pieces: Vec<Piece>,
    current: usize,
    /// Bytes of the current piece that are on their way or were.
    used: usize,
}

/// Locked memory and the event that says when the card is done with it.
struct Piece {
    memory: *mut u8,
    event: sys::CUevent,
    /// Whether the event was recorded and not yet waited for.
    pending: bool,
}

// SAFETY: the memory is owned, and the event is a handle good on every thread that has bound the context.
unsafe impl Send for Piece {}

impl Piece {
    fn new() -> Result<Piece> {
        let flags = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING;
        let event = result::event::create(flags).map_err(|e| failed("make an event", e))?;
        // SAFETY: a plain allocation of a size that is not 0.
        match unsafe { result::malloc_host(PIECE, 0) } {
            Ok(memory) => {
                let memory = memory.cast::<u8>();
                // SAFETY: the allocation is so large.
                unsafe { memory.write_bytes(0, PIECE) };
                Ok(Piece { memory, event, pending: false })
            }
            Err(error) => {
                // SAFETY: nothing has recorded the event.
                let _ = unsafe { result::event::destroy(event) };
                Err(failed("lock memory for transfers", error))
            }
        }
    }

    /// Notes that everything queued so far is done when the event is.
    fn record(&mut self, device: &Device) -> Result<()> {
        // SAFETY: event and stream are the device's.
        unsafe { result::event::record(self.event, device.stream) }
            .map_err(|e| failed("record an event", e))?;
        self.pending = true;
        Ok(())
    }

    /// Waits until the card is done with the memory.
    fn wait(&mut self) -> Result<()> {
        if std::mem::take(&mut self.pending) {
            // SAFETY: the event was recorded.
            unsafe { result::event::synchronize(self.event) }.map_err(|e| failed("run the kernels", e))?;
        }
        Ok(())
    }

    /// A range of the memory that the card is not using.
    fn range(&mut self, start: usize, len: usize) -> &mut [u8] {
        assert!(start + len <= PIECE, "{len} bytes at {start} of a piece");
        // SAFETY: the range lies in the allocation, which is initialised, and borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.memory.add(start), len) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: the device waits for its stream before it drops its pieces; the context is bound by then.
        unsafe {
            let _ = result::event::destroy(self.event);
            let _ = result::free_host(self.memory.cast());
        }
    }
}

impl Uploads {
    /// Locked memory for `len` bytes, at most a piece, after a wait only if the card is a whole ring behind.
    fn place(&mut self, len: usize, device: &Device) -> Result<&mut [u8]> {
        if self.pieces.is_empty() {
            self.pieces = (0..UPLOADS).map(|_| Piece::new()).collect::<Result<_>>()?;
        }
        if self.used + len > PIECE {
            self.pieces[self.current].record(device)?;
            self.current = (self.current + 1) % UPLOADS;
            self.used = 0;
            self.pieces[self.current].wait()?;
        }
        let start = self.used;
        self.used += len.next_multiple_of(ALIGNMENT);
        Ok(self.pieces[self.current].range(start, len))
    }
}

impl Device {
    /// Queues a copy of `from` to `offset` bytes into `to`. The host's memory may be changed on return.
    pub fn copy_in(&self, from: &[u8], to: &Memory, offset: usize) -> Result<()> {
        self.outside_sequence()?;
        self.bind()?;
        let mut address = to.at(offset, from.len());
        let mut uploads = lock(&self.transfers.up);
        for bytes in from.chunks(PIECE) {
            let place = uploads.place(bytes.len(), self)?;
            place.copy_from_slice(bytes);
            // SAFETY: the range lies in `to`, and the place is not used again before this copy is done.
            unsafe { result::memcpy_htod_async(address, place, self.stream) }
                .map_err(|e| failed("copy to the card", e))?;
            address += bytes.len() as u64;
        }
        Ok(())
    }

    /// Copies from `offset` bytes into `from`, after everything queued before.
    pub fn copy_out(&self, from: &Memory, offset: usize, to: &mut [u8]) -> Result<()> {
        self.outside_sequence()?;
        self.bind()?;
        let mut address = from.at(offset, to.len());
        let mut pieces = lock(&self.transfers.down);
        if pieces.is_empty() {
            *pieces = (0..DOWNLOADS).map(|_| Piece::new()).collect::<Result<_>>()?;
        }
        let lens: Vec<usize> = to.chunks(PIECE).map(<[u8]>::len).collect();
        let mut queue = |piece: &mut Piece, len: usize| {
            // SAFETY: the range lies in `from`, and the piece is not read before its event.
            unsafe { result::memcpy_dtoh_async(piece.range(0, len), address, self.stream) }
                .map_err(|e| failed("copy from the card", e))?;
            address += len as u64;
            piece.record(self)
        };
        let first = lens.iter().take(DOWNLOADS).zip(&mut *pieces);
        first.map(|(&len, piece)| queue(piece, len)).collect::<Result<()>>()?;
        for (i, bytes) in to.chunks_mut(PIECE).enumerate() {
            let piece = &mut pieces[i % DOWNLOADS];
            piece.wait()?;
            bytes.copy_from_slice(piece.range(0, bytes.len()));
            if let Some(&len) = lens.get(i + DOWNLOADS) {
                queue(piece, len)?;
            }
        }
        Ok(())
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
