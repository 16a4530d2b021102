//! Working memory that survives from one operation to the next, so that a step allocates nothing.

use super::Element;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// A cache line, so that panels start on one.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u64; 8]);

thread_local! {
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Memory for `len` elements with unspecified contents, given back to the thread when dropped.
pub(super) struct Scratch<T> {
    lines: Vec<Line>,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Element> Scratch<T> {
    pub(super) fn new(len: usize) -> Scratch<T> {
        let needed = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        let mut lines = FREE.with_borrow_mut(|free| {
            // The smallest block that is large enough, else the largest: blocks find their use and stop growing.
            let fit = |block: &Vec<Line>| (block.len() < needed, block.len().abs_diff(needed));
            let best = (0..free.len()).min_by_key(|&i| fit(&free[i]));
            best.map(|i| free.swap_remove(i)).unwrap_or_default()
        });
        if lines.len() < needed {
            lines.resize(needed, Line([0; 8]));
        }
        Scratch { lines, len, element: PhantomData }
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        FREE.with_borrow_mut(|free| free.push(lines));
    }
}

impl<T: Element> Deref for Scratch<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl<T: Element> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}
