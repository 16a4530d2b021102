//! Class mass by rank, exactly and without a sort.
//!
//! Each neuron's fields are counted in narrow buckets that follow their order. A bucket that lies inside one
//! bin of the rank axis needs no more than its counts; only members of the few buckets that a border cuts
//! are ranked one by one.

mod bins;

use super::class_sums::known_classes;
use super::*;
use bins::{Axis, Member, Tally, descending};
use rayon::prelude::*;

/// Columns gathered together: in f32 one cache line of a row of z.
const GROUP: usize = 16;
/// Most buckets, so that their counts stay in the first-level cache.
const BUCKETS: usize = 4096;
/// Length of the bucket tables, the power of two above the last bucket's number.
const SLOTS: usize = 2 * BUCKETS;

/// Mass [neurons, classes, bins], see [`Backend::rank_mass`].
pub(super) fn rank_mass<R: Real>(
    desc: RankMass,
    field: &Field<'_, Cpu, R>,
    labels: Labels<'_, Cpu>,
    mass: PartMut<'_, Cpu, f64>,
) -> Result<()> {
    desc.check(field, &labels, &mass)?;
    let order = Order::new(desc, labels)?;
    let nan = mass
        .slice()
        .par_chunks_mut(GROUP * desc.classes * desc.bins)
        .enumerate()
        .map_init(
            || Worker::new(desc, &order),
            |worker, (group, mass)| {
                worker.gather(field, group * GROUP);
                let neurons = mass.chunks_exact_mut(desc.classes * desc.bins).enumerate();
                let mut ranked = neurons.map(|(i, mass)| {
                    let neuron = group * GROUP + i;
                    (neuron, worker.rank(i, NeuronNorm::of(field, neuron), mass))
                });
                ranked.find(|(_, ranked)| ranked.is_none()).map(|(neuron, _)| neuron)
            },
        )
        .flatten()
        .min();
    nan.map_or(Ok(()), |neuron| Err(check::rank_of_nan(neuron)))
}

/// The samples sorted by class, so that a class is a run and no label is looked up per key.
struct Order {
    samples: Vec<u32>,
    /// End of each class's run.
    ends: Vec<usize>,
}

impl Order {
    fn new(desc: RankMass, labels: Labels<'_, Cpu>) -> Result<Order> {
        let sample_class = known_classes("rank_mass", labels, desc.rows, desc.classes)?;
        let mut ends = vec![0; desc.classes];
        sample_class.iter().for_each(|&class| ends[usize::from(class)] += 1);
        let mut start = 0;
        for end in &mut ends {
            (start, *end) = (start + *end, start);
        }
        let mut samples = vec![0; desc.rows];
        for (i, &class) in sample_class.iter().enumerate() {
            let end = &mut ends[usize::from(class)];
            samples[*end] = i as u32;
            *end += 1;
        }
        Ok(Order { samples, ends })
    }
}

/// One thread's memory.
struct Worker<'a, R> {
    desc: RankMass,
    order: &'a Order,
    /// Fields of a group of neurons in class order, [GROUP, stride].
    fields: Vec<R>,
    stride: usize,
    /// Bucket of every sample.
    buckets: Vec<u16>,
    /// Samples of a class in cut buckets.
    picked: Vec<u32>,
    members: Vec<Member>,
    spare: Vec<Member>,
    sizes: Box<[u32; SLOTS]>,
    /// Bin of a bucket; `bins` and above: number of a cut bucket.
    codes: Box<[u32; SLOTS]>,
    cuts: Vec<Cut>,
    whole: Vec<u32>,
    in_group: Vec<u32>,
}

/// A bucket that a border of the rank axis cuts.
struct Cut {
    /// Position of its first member on the axis.
    first: usize,
    /// Its run of the member list so far.
    members: std::ops::Range<usize>,
}

impl<'a, R: Real> Worker<'a, R> {
    fn new(desc: RankMass, order: &'a Order) -> Self {
        // The odd line keeps columns from sharing the sets of a cache.
        let stride = desc.rows.next_multiple_of(1024) + GROUP;
        Worker {
            desc,
            order,
            fields: vec![R::zero(); GROUP * stride],
            stride,
            buckets: vec![0; desc.rows],
            picked: vec![0; desc.rows],
            members: Vec::new(),
            spare: Vec::new(),
            sizes: Box::new([0; SLOTS]),
            codes: Box::new([0; SLOTS]),
            cuts: Vec::new(),
            whole: vec![0; desc.classes * 2 * desc.bins],
            in_group: vec![0; desc.classes],
        }
    }

    /// Transposes z + a ξ of up to `GROUP` neurons into `fields`.
    fn gather(&mut self, field: &Field<'_, Cpu, R>, first: usize) {
        let neurons = self.desc.neurons;
        let width = GROUP.min(neurons - first);
        let z = field.z.slice();
        for (block, samples) in self.order.samples.chunks(GROUP).enumerate() {
            // Rows lie far apart: copying all of them first keeps many cache misses under way at a time.
            let mut rows = [[R::zero(); GROUP]; GROUP];
            for (row, &sample) in rows.iter_mut().zip(samples) {
                let z = &z[sample as usize * neurons + first..];
                match z.first_chunk() {
                    Some(z) => *row = *z,
                    None => row[..width].copy_from_slice(&z[..width]),
                }
            }
            if let Some(noise) = field.noise {
                for (row, &sample) in rows.iter_mut().zip(samples) {
                    let amplitude = noise.amplitude.slice()[sample as usize];
                    let xi = &noise.xi.slice()[sample as usize * neurons + first..][..width];
                    for (z, &xi) in row.iter_mut().zip(xi) {
                        *z += amplitude * xi;
                    }
                }
            }
            for (i, column) in self.fields.chunks_exact_mut(self.stride).enumerate() {
                if let Some(column) = column[block * GROUP..].first_chunk_mut::<GROUP>() {
                    *column = std::array::from_fn(|j| rows[j][i]);
                }
            }
        }
    }

    /// Mass [classes, bins] of the neuron gathered as number `neuron`, or `None` if a field is NaN.
    fn rank(&mut self, neuron: usize, norm: Option<NeuronNorm<R>>, mass: &mut [f64]) -> Option<()> {
        let RankMass { rows, bins, .. } = self.desc;
        let axis = Axis { rows: rows as u64, bins: bins as u64 };
        let fields = &mut self.fields[neuron * self.stride..][..rows];

        let last = (rows / 8).next_power_of_two().clamp(16, BUCKETS);
        pulp::Arch::new().dispatch(FindBuckets { norm, fields, last, buckets: &mut self.buckets })?;
        self.sizes[..=last].fill(0);
        for &bucket in &self.buckets {
            self.sizes[usize::from(bucket) % SLOTS] += 1;
        }

        self.cuts.clear();
        let (mut first, mut cut) = (0, 0);
        for (&size, code) in
            self.sizes[..=last].iter().zip(self.codes.iter_mut()).filter(|(size, _)| **size > 0)
        {
            let size = size as usize;
            match axis.bin_of(first as u64, size as u64) {
                Some(bin) => *code = bin as u32,
                None => {
                    *code = (bins + self.cuts.len()) as u32;
                    self.cuts.push(Cut { first, members: cut..cut });
                    cut += size;
                }
            }
            first += size;
        }
        self.members.resize(cut, Member::default());
        self.spare.resize(cut, Member::default());

        self.count(neuron);

        mass.fill(0.0);
        let mut tally =
            Tally { axis, whole: &mut self.whole, stride: 2 * bins, mass, in_group: &mut self.in_group };
        for Cut { first, members } in self.cuts.drain(..) {
            let (members, spare) = (&mut self.members[members.clone()], &mut self.spare[members]);
            tally.place(members, spare, first as u64);
        }
        for (whole, mass) in self.whole.chunks_exact(2 * bins).zip(mass.chunks_exact_mut(bins)) {
            for (mass, &whole) in mass.iter_mut().zip(whole) {
                *mass += f64::from(whole);
            }
        }
        Some(())
    }

    /// Counts each class in the bins and collects the members of the cut buckets.
    fn count(&mut self, neuron: usize) {
        let bins = self.desc.bins;
        let fields = &self.fields[neuron * self.stride..];
        let mut start = 0;
        for (class, &end) in self.order.ends.iter().enumerate() {
            let whole = &mut self.whole[class * 2 * bins..][..2 * bins];
            whole.fill(0);
            let mut picked = 0;
            for (i, &bucket) in self.buckets[start..end].iter().enumerate() {
                let code = self.codes[usize::from(bucket) % SLOTS] as usize;
                whole[code] += 1;
                self.picked[picked] = (start + i) as u32;
                picked += usize::from(code >= bins);
            }
            for &i in &self.picked[..picked] {
                let code = self.codes[usize::from(self.buckets[i as usize]) % SLOTS] as usize;
                let cut = &mut self.cuts[code - bins];
                let key = descending(fields[i as usize].wide());
                self.members[cut.members.end] = Member { key, class: class as u32 };
                cut.members.end += 1;
            }
            start = end;
        }
    }
}

/// A map of fields to buckets that keeps their (descending) order and spreads most distributions evenly:
/// `½/(1 + t)` for t = (h − centre)/spread ≥ 0 and its mirror image below.
///
/// Every step is correctly rounded, hence monotonic in the field: a sample with a larger field is never in a
/// later bucket. Centre and spread come from a few samples and matter to speed alone.
#[derive(Clone, Copy)]
struct Squash {
    centre: f32,
    per_spread: f32,
    last: f32,
}

impl Squash {
    fn fit<R: Real>(fields: &[R], last: usize) -> Squash {
        const SAMPLE: usize = 256;
        let step = fields.len().div_ceil(SAMPLE);
        let mut sample: Vec<f32> = fields.iter().step_by(step).map(|h| h.wide() as f32).collect();
        sample.sort_unstable_by(f32::total_cmp);
        let quantile = |share: usize| sample[share * (sample.len() - 1) / 8];
        let centre = Some(quantile(4)).filter(|centre| centre.is_finite()).unwrap_or(0.0);
        // Half the interquartile distance suits a normal distribution best; the tails serve when most
        // values are equal.
        let spreads = [quantile(6) - quantile(2), quantile(7) - quantile(1), quantile(8) - quantile(0)];
        let spread = spreads.into_iter().find(|spread| *spread > 0.0 && spread.is_finite());
        let per_spread = spread.map_or(1.0, |spread| (2.0 / spread).clamp(1e-30, 1e30));
        Squash { centre, per_spread, last: last as f32 }
    }

    /// 0…last.
    #[inline(always)]
    fn bucket(self, h: f32) -> u16 {
        const SHIFT: f32 = 8_388_608.0; // 2²³: adding it rounds to whole numbers in the low bits

        let t = (self.centre - h) * self.per_spread;
        let half = 0.5 / (1.0 + t.abs());
        let share = if t < 0.0 { half } else { 1.0 - half };
        (share * self.last + SHIFT).to_bits() as u16
    }
}

/// γ ((z − mean) · inv_std) + β of one neuron, rounded as in the forward pass.
#[derive(Clone, Copy)]
struct NeuronNorm<R> {
    mean: R,
    inv_std: R,
    gamma: R,
    beta: R,
}

impl<R: Real> NeuronNorm<R> {
    fn of(field: &Field<'_, Cpu, R>, neuron: usize) -> Option<Self> {
        field.norm.map(|norm| {
            let [mean, inv_std, gamma, beta] =
                [norm.mean, norm.inv_std, norm.gamma, norm.beta].map(|part| part.slice()[neuron]);
            NeuronNorm { mean, inv_std, gamma, beta }
        })
    }
}

/// Makes local fields of z + a ξ and finds the bucket of each; `None` if one is NaN. A struct, because pulp
/// reaches a closure through a shim compiled for the baseline instruction set.
struct FindBuckets<'a, R> {
    norm: Option<NeuronNorm<R>>,
    fields: &'a mut [R],
    /// Last bucket.
    last: usize,
    buckets: &'a mut [u16],
}

impl<R: Real> pulp::WithSimd for FindBuckets<'_, R> {
    type Output = Option<()>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Option<()> {
        if let Some(NeuronNorm { mean, inv_std, gamma, beta }) = self.norm {
            for h in self.fields.iter_mut() {
                *h = gamma * ((*h - mean) * inv_std) + beta;
            }
        }
        let squash = Squash::fit(self.fields, self.last);
        let mut nan = 0;
        for (bucket, h) in self.buckets.iter_mut().zip(self.fields) {
            let h = h.wide() as f32;
            *bucket = squash.bucket(h);
            nan |= u32::from(h.is_nan());
        }
        (nan == 0).then_some(())
    }
}
