//! The ways of a card to `rank_mass`: all give the bits of the CPU.

use crate::rank_mass::HARD;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::cuda::{Cuda, RankMethod, RankPlan};
use netdyn::backend::{Backend, Field, Labels, Part, PartMut, RankMass, Rows};
use netdyn::{Error, Result};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

on_each_backend!(
    ways_agree_on_any_shape,
    ways_agree_on_edges,
    ways_agree_on_hard_fields,
    ways_agree_where_groups_begin_at_borders,
    ways_agree_beyond_a_tile_of_the_sort,
    crowds_of_one_value_need_no_sort,
    long_buckets_are_sorted,
    the_sort_reports_what_the_select_reports,
    plans_fit_their_tables,
    large_shapes,
    large_crowded_borders,
);

/// What a call is about, on the host.
struct Problem {
    desc: RankMass,
    z: Vec<f32>,
    /// One class per stored sample, of which `rows` are listed.
    labels: Vec<u8>,
    listed: Vec<u32>,
}

impl Problem {
    /// Rows listed from the last to the first, every second one of the stored.
    fn new(desc: RankMass, seed: u64, mut field: impl FnMut(usize, f64) -> f64) -> Problem {
        let mut rng = SmallRng::seed_from_u64(seed);
        let cells = desc.rows * desc.neurons;
        let z = (0..cells).map(|i| field(i / desc.neurons, rng.random_range(-1.0..1.0)) as f32).collect();
        let labels = (0..2 * desc.rows).map(|_| rng.random_range(0..desc.classes.min(256)) as u8).collect();
        Problem { desc, z, labels, listed: (0..desc.rows as u32).rev().map(|i| 2 * i).collect() }
    }

    fn on<B: Backend, T>(
        &self,
        backend: &B,
        rank: impl Fn(Call<'_, B>) -> Result<T>,
    ) -> Result<(Vec<f64>, T)> {
        let len = self.desc.neurons * self.desc.classes * self.desc.bins;
        let mut mass = backend.upload(&vec![f64::NAN; len])?;
        let (z, labels) = (backend.upload(&self.z)?, backend.upload(&self.labels)?);
        let index = backend.upload(&self.listed)?;
        let field = Field { z: Part::new(&z, 0, self.z.len()), noise: None, norm: None };
        let labels = Labels { labels: &labels, rows: Rows::Listed { index: &index, start: 0 } };
        let answer = rank((self.desc, &field, labels, PartMut::new(&mut mass, 0, len)))?;
        Ok((backend.download(Part::new(&mass, 0, len))?, answer))
    }

    fn on_cpu(&self) -> Vec<f64> {
        let run =
            |cpu: &Cpu| self.on(cpu, |(desc, field, labels, mass)| cpu.rank_mass(desc, field, labels, mass));
        Cpu::new(2).unwrap().install(run).unwrap().0
    }

    /// Mass, and how many neurons were sorted.
    fn on_card(&self, card: &Cuda, plan: RankPlan) -> Result<(Vec<f64>, usize)> {
        self.on(card, |(desc, field, labels, mass)| card.rank_mass_as(plan, desc, field, labels, mass))
    }

    fn assert_all_agree(&self, card: &Cuda, what: &str) {
        let want = self.on_cpu();
        let plans = [("as planned", RankPlan::of(self.desc)), ("by a sort", RankPlan::sorted(self.desc))];
        let tight = RankPlan { method: RankMethod::Select { room: 16 }, neurons: 2 };
        let few = RankPlan { neurons: 3, ..RankPlan::sorted(self.desc) };
        for (way, plan) in plans.into_iter().chain([("in little memory", tight), ("three by three", few)]) {
            if fits(plan, self.desc) {
                let got = self.on_card(card, plan).unwrap().0;
                let differs = got.iter().zip(&want).position(|(got, want)| got.to_bits() != want.to_bits());
                assert_eq!(differs, None, "{what} {way}: {:?}", self.desc);
            }
        }
    }
}

type Call<'a, B> = (RankMass, &'a Field<'a, B, f32>, Labels<'a, B>, PartMut<'a, B, f64>);

/// Whether a select's tables fit into shared memory with any room at all.
fn fits(plan: RankPlan, desc: RankMass) -> bool {
    let words = 4096 + 2 * desc.classes * desc.bins + 9 * desc.bins + 20;
    plan.method == RankMethod::Sort || words <= 24 << 10
}

/// Few values and many, a few samples and many bins, and the other way round.
fn ways_agree_on_any_shape(card: &Cuda) {
    let shape = (1usize..=120, 1usize..=5, 1usize..=12, 1usize..=150);
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    runner
        .run(&(shape, any::<u64>(), 0u32..24), |((rows, neurons, classes, bins), seed, steps)| {
            let desc = RankMass { rows, neurons, classes, bins };
            let scale = f64::from(1 << steps);
            Problem::new(desc, seed, |_, x| (x * scale).round() / scale).assert_all_agree(card, "property");
            Ok(())
        })
        .unwrap();
}

/// Either side of a warp, a block and a bucket.
fn ways_agree_on_edges(card: &Cuda) {
    for (rows, neurons) in [(1, 1), (7, 10), (10, 7), (63, 3), (65, 2), (100, 63), (127, 1), (128, 2), (129, 65), (200, 3)] {
        let desc = RankMass { rows, neurons, classes: 10, bins: 31 };
        Problem::new(desc, 12, |_, x| (8.0 * x).round()).assert_all_agree(card, "edges");
    }
}

fn ways_agree_on_hard_fields(card: &Cuda) {
    let desc = RankMass { rows: 259, neurons: 3, classes: 10, bins: 100 };
    for (name, field) in HARD {
        Problem::new(desc, 5, field).assert_all_agree(card, name);
    }
}

/// 240 samples in 6 bins: groups of 8 begin at the borders 40 and 80, and a group of 7 is cut by the border 120, so that
/// the third bin has whole samples at its lower border and shares at its upper.
fn ways_agree_where_groups_begin_at_borders(card: &Cuda) {
    let desc = RankMass { rows: 240, neurons: 20, classes: 10, bins: 6 };
    let group = |i: usize| match i {
        0..112 => i / 8,
        112..115 => 14,
        115..122 => 15,
        _ => i,
    };
    Problem::new(desc, 10, |i, _| -(group(i * 77 % 240) as f64)).assert_all_agree(card, "groups at borders");
}

fn ways_agree_beyond_a_tile_of_the_sort(card: &Cuda) {
    let desc = RankMass { rows: 4099, neurons: 1, classes: 3, bins: 10 };
    Problem::new(desc, 11, |_, x| x).assert_all_agree(card, "beyond a tile");
}

/// Buckets of one value are left out of a room that is too small for them; others are sorted.
fn crowds_of_one_value_need_no_sort(card: &Cuda) {
    let desc = RankMass { rows: 259, neurons: 2, classes: 3, bins: 100 };
    let tight = RankPlan { method: RankMethod::Select { room: 16 }, neurons: 2 };
    for (name, field) in HARD {
        let (_, sorted) = Problem::new(desc, 12, field).on_card(card, tight).unwrap();
        if ["all equal", "two values"].contains(&name) {
            assert_eq!(sorted, 0, "{name}");
        }
        if name == "tight clusters" {
            assert_eq!(sorted, 2, "{name}");
        }
    }
}

/// A cluster in one bucket: few enough to be compared with each other, and too many.
fn long_buckets_are_sorted(card: &Cuda) {
    let desc = RankMass { rows: 4099, neurons: 1, classes: 3, bins: 10 };
    let plan = RankPlan { method: RankMethod::Select { room: 4096 }, neurons: 1 };
    for (every, sorted) in [(5, 0), (2, 1)] {
        let field = |i: usize, x: f64| if i.is_multiple_of(every) { 1e-6 * x } else { x };
        let problem = Problem::new(desc, 13, field);
        let got = problem.on_card(card, plan).unwrap();
        assert_eq!(got.1, sorted, "one in {every}");
        assert!(got.0 == problem.on_cpu(), "one in {every}");
    }
}

fn the_sort_reports_what_the_select_reports(card: &Cuda) {
    let desc = RankMass { rows: 31, neurons: 9, classes: 3, bins: 10 };
    let mut problem = Problem::new(desc, 6, |_, x| x);
    problem.z[30 * 9 + 7] = f32::NAN;
    problem.z[8] = f32::NAN;
    for plan in [RankPlan::of(desc), RankPlan::sorted(desc)] {
        let error = problem.on_card(card, plan).unwrap_err();
        assert!(matches!(&error, Error::Failed(what) if what.contains("neuron 7 ")), "{error}");
    }
    // Rows 3 and 5 of the list have no class; the first of them is named, before the NaN.
    for row in [3, 5] {
        problem.labels[problem.listed[row] as usize] = 3 + row as u8;
    }
    for plan in [RankPlan::of(desc), RankPlan::sorted(desc)] {
        let error = problem.on_card(card, plan).unwrap_err();
        assert!(matches!(&error, Error::Failed(what) if what.contains("label 6 of sample 54 ")), "{error}");
    }
}

/// The sort takes over where tables would not fit into shared memory.
fn plans_fit_their_tables(_: &Cuda) {
    let usual = RankMass { rows: 60_000, neurons: 512, classes: 10, bins: 100 };
    assert_eq!(RankPlan::of(usual).method, RankMethod::Select { room: 4096 });
    for desc in [
        RankMass { classes: 256, ..usual },
        RankMass { bins: 1000, ..usual },
        RankMass { bins: 1 << 31, ..usual },
    ] {
        assert_eq!(RankPlan::of(desc).method, RankMethod::Sort);
    }
}

fn large_shapes(card: &Cuda) {
    let usual = RankMass { rows: 60_000, neurons: 512, classes: 10, bins: 100 };
    for desc in [
        usual,
        RankMass { rows: 59_999, neurons: 63, ..usual },
        RankMass { rows: 59_999, neurons: 5, bins: 1000, ..usual },
        RankMass { rows: 59_999, neurons: 5, classes: 256, ..usual },
        RankMass { rows: 1000, neurons: 2048, ..usual },
        RankMass { rows: 10_000, neurons: 1280, bins: 97, ..usual },
        RankMass { rows: 600_000, neurons: 7, ..usual },
        RankMass { rows: 70_001, neurons: 129, classes: 1, bins: 1 },
    ] {
        Problem::new(desc, 7, |_, x| x).assert_all_agree(card, "fine");
        Problem::new(desc, 8, |_, x| (100.0 * x * x * x).round()).assert_all_agree(card, "coarse");
    }
}

fn large_crowded_borders(card: &Cuda) {
    let desc = RankMass { rows: 60_000, neurons: 40, classes: 10, bins: 100 };
    for (name, field) in HARD {
        Problem::new(desc, 9, field).assert_all_agree(card, name);
    }
}
