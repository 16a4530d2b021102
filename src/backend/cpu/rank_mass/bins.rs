//! Who owns which part of the rank axis: whole positions, ties, and ranks that a bin border cuts.

/// The rank axis in units in which positions and bins are whole numbers: of its rows × bins units a
/// position is `bins` long and a bin `rows`.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub(super) rows: u64,
    pub(super) bins: u64,
}

impl Axis {
    /// The bin that holds all of `count` positions from `first`, or `None` if a border cuts them.
    pub(super) fn bin_of(self, first: u64, count: u64) -> Option<usize> {
        let bin = first * self.bins / self.rows;
        ((first + count) * self.bins <= (bin + 1) * self.rows).then_some(bin as usize)
    }

    /// The bins that `count` positions from `first` meet, each with its share of them.
    ///
    /// The shares are quotients of whole numbers, so that ranks counted from the other end give the same bits.
    fn shares(self, first: u64, count: u64) -> impl Iterator<Item = (usize, f64)> {
        let (start, end) = (first * self.bins, (first + count) * self.bins);
        (start / self.rows..end.div_ceil(self.rows)).map(move |bin| {
            let overlap = end.min((bin + 1) * self.rows) - start.max(bin * self.rows);
            (bin as usize, overlap as f64 / (end - start) as f64)
        })
    }
}

/// A sample whose rank matters one by one.
#[derive(Clone, Copy, Default)]
pub(super) struct Member {
    pub(super) key: u64,
    pub(super) class: u32,
}

/// A key that ascends while `h` descends, equal for −0 and +0.
pub(super) fn descending(h: f64) -> u64 {
    let bits = (h + 0.0).to_bits();
    if bits >> 63 == 1 { bits } else { !bits & (u64::MAX >> 1) }
}

/// The mass of one neuron under construction.
///
/// Whole samples are counted apart from shares of samples. A bin takes shares from at most two groups, those
/// which its two borders cut, so that no sum depends on the order of its terms.
pub(super) struct Tally<'a> {
    pub(super) axis: Axis,
    /// Whole samples [classes, stride], of which the first `bins` columns count.
    pub(super) whole: &'a mut [u32],
    pub(super) stride: usize,
    /// Shares [classes, bins].
    pub(super) mass: &'a mut [f64],
    /// Scratch [classes].
    pub(super) in_group: &'a mut [u32],
}

impl Tally<'_> {
    /// Gives every member its place on the axis; together they fill the positions from `first` on. `spare`
    /// is scratch as long as `members`.
    ///
    /// Members are parted by their leading differing bits until they lie in one bin, are all equal, or are
    /// few. Every round takes at least seven bits off the range of keys: no input costs more than ten rounds.
    pub(super) fn place(&mut self, members: &mut [Member], spare: &mut [Member], first: u64) {
        const FEW: usize = 48;
        const PARTS: usize = 256;

        let keys = members.iter().map(|member| member.key);
        let (low, high) = keys.fold((u64::MAX, 0), |(low, high), key| (low.min(key), high.max(key)));
        if low >= high || self.axis.bin_of(first, members.len() as u64).is_some() {
            return self.group(members, first);
        }
        if members.len() <= FEW {
            members.sort_unstable_by_key(|member| member.key);
            let mut first = first;
            for group in members.chunk_by(|a, b| a.key == b.key) {
                self.group(group, first);
                first += group.len() as u64;
            }
            return;
        }

        let shift = (u64::BITS - (high - low).leading_zeros()).saturating_sub(PARTS.ilog2());
        let part = |member: &Member| ((member.key - low) >> shift) as usize;
        let mut ends = [0; PARTS];
        members.iter().for_each(|member| ends[part(member)] += 1);
        let mut start = 0;
        for end in &mut ends {
            (start, *end) = (start + *end, start);
        }
        for member in members.iter() {
            let end = &mut ends[part(member)];
            spare[*end] = *member;
            *end += 1;
        }
        let mut start = 0;
        for end in ends.into_iter().filter(|&end| end > 0) {
            if end > start {
                self.place(&mut spare[start..end], &mut members[start..end], first + start as u64);
                start = end;
            }
        }
    }

    /// Members of equal key, or of one bin, that fill the positions from `first` on.
    fn group(&mut self, members: &[Member], first: u64) {
        let bins = self.axis.bins as usize;
        if let Some(bin) = self.axis.bin_of(first, members.len() as u64) {
            members.iter().for_each(|member| self.whole[member.class as usize * self.stride + bin] += 1);
            return;
        }
        self.in_group.fill(0);
        members.iter().for_each(|member| self.in_group[member.class as usize] += 1);
        for (bin, share) in self.axis.shares(first, members.len() as u64) {
            for (&count, mass) in self.in_group.iter().zip(self.mass.chunks_exact_mut(bins)) {
                mass[bin] += f64::from(count) * share;
            }
        }
    }
}
