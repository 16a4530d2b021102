//! Counter-based random numbers: every draw is a function of seed, purpose and index.
//!
//! Philox4x32-10 (Salmon et al., SC 2011). Nothing here has a state that could depend on chunking,
//! threads or the device.

/// Who draws: the fourth counter word. 0…L−1 are kept for the noise of the attraction basins
/// (0 = sample space, l = weight matrix W(l)); other purposes have names above those.
pub mod stream {
    /// Initial weights and biases; the row id is the layer.
    pub const INIT: u32 = 0x8000_0000;
    /// Order of the training samples; the trial is the epoch.
    pub const ORDER: u32 = 0x8000_0001;
    /// Dropout masks: this plus the layer.
    pub const DROPOUT: u32 = 0x8001_0000;
}

/// Four random words for a 64-bit key and a 128-bit counter.
#[inline(always)]
pub fn philox(key: u64, counter: [u32; 4]) -> [u32; 4] {
    let [mut x0, mut x1, mut x2, mut x3] = counter;
    let (mut k0, mut k1) = (key as u32, (key >> 32) as u32);
    for _ in 0..10 {
        let p0 = 0xD251_1F53_u64 * u64::from(x0);
        let p1 = 0xCD9E_8D57_u64 * u64::from(x2);
        (x0, x1, x2, x3) = ((p1 >> 32) as u32 ^ x1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ x3 ^ k1, p0 as u32);
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [x0, x1, x2, x3]
}

/// (word + ½)·2⁻³², in (0, 1).
#[inline(always)]
pub fn unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) * (1.0 / 4_294_967_296.0)
}

/// The words of one stream in order, for shuffles and uniform draws through `rand`.
///
/// Word n is word n mod 4 of the block with counter (row, n/4, trial, stream).
#[derive(Clone, Debug)]
pub struct Stream {
    key: u64,
    row: u32,
    trial: u32,
    stream: u32,
    next: u64,
}

impl Stream {
    /// The stream of this purpose from its beginning.
    pub fn new(key: u64, row: u32, trial: u32, stream: u32) -> Self {
        Stream { key, row, trial, stream, next: 0 }
    }
}

impl rand::rand_core::TryRng for Stream {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let block = philox(self.key, [self.row, (self.next / 4) as u32, self.trial, self.stream]);
        let word = block[(self.next % 4) as usize];
        self.next += 1;
        Ok(word)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let low = self.try_next_u32()?;
        Ok(u64::from(self.try_next_u32()?) << 32 | u64::from(low))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in bytes.chunks_mut(4) {
            chunk.copy_from_slice(&self.try_next_u32()?.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers published with Random123 (kat_vectors, philox4x32 10).
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox(0, [0; 4]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(philox(u64::MAX, [u32::MAX; 4]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
        assert_eq!(
            philox(0x299f31d0_a4093822, [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]),
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
        );
    }
}
