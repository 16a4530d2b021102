//! What lies under the operations on a card: transfers, the pool of memory, sequences as graphs.
//!
//! Each test opens the card anew where it counts what the driver was asked for.

use crate::common::slow;
use crate::reference::{all, values};
use netdyn::backend::cuda::{Cuda, Recording, card};
use netdyn::backend::{Activation, Backend, LossKind, Optimizer, Part, PartMut, Precision, Rows, Update};
use netdyn::data::InputScale;
use netdyn::model::{BnMode, Net, Samples, Trainer, outcome};

on_each_backend!(
    long_transfers_arrive,
    small_writes_arrive_in_order,
    a_step_is_one_graph_and_allocates_nothing,
    a_small_step_is_nine_launches,
    a_normalised_layer_is_eight_launches,
    kernels_overlap_where_they_wait,
    shapes_keep_their_graphs,
    work_between_steps_changes_nothing,
    threads_record_for_themselves,
    a_sequence_only_launches,
    what_failed_is_not_launched,
);

/// Longer than the locked memory of either way, and no multiple of a piece of it.
fn long_transfers_arrive(cuda: &Cuda) {
    for len in [1, 1 << 20, (1 << 20) + 1, 7_000_003] {
        let mut host: Vec<u8> = (0..len).map(|i: usize| (i * 31 + i / 251) as u8).collect();
        let want = host.clone();
        let buf = cuda.upload(&host).unwrap();
        host.fill(0); // the copy may still be on its way
        assert!(all(cuda, &buf) == want, "{len} bytes");
        let part = cuda.download(Part::new(&buf, len / 3, len / 2)).unwrap();
        assert!(part == want[len / 3..][..len / 2], "{len} bytes, a part");
    }
    assert!(cuda.upload::<f32>(&[]).is_ok_and(|empty| all(cuda, &empty).is_empty()));
}

/// More of them than the locked memory holds, between kernels that read what they wrote.
fn small_writes_arrive_in_order(cuda: &Cuda) {
    let (len, rounds) = (5_000, 500);
    let mut sum = cuda.zeros::<f32>(len).unwrap();
    let mut fresh = cuda.zeros::<f32>(len).unwrap();
    let mut next = cuda.zeros::<f32>(len).unwrap();
    for round in 0..rounds {
        let host: Vec<f32> = (0..len).map(|i| ((i + round) % 7) as f32).collect();
        cuda.write(&host[..17], PartMut::new(&mut fresh, 0, 17)).unwrap();
        cuda.write(&host[17..], PartMut::new(&mut fresh, 17, len - 17)).unwrap();
        let (a, b) = (Part::new(&sum, 0, len), Part::new(&fresh, 0, len));
        cuda.add_scaled(1.0, a, b, PartMut::new(&mut next, 0, len)).unwrap();
        std::mem::swap(&mut sum, &mut next);
    }
    let want: Vec<f32> = (0..len).map(|i| (0..rounds).map(|round| ((i + round) % 7) as f32).sum()).collect();
    assert!(all(cuda, &sum) == want); // sums of small whole numbers are exact
}

/// A network in training with its data.
struct Training<'c> {
    trainer: Trainer<'c, Cuda, f32>,
    samples: Samples<Cuda>,
    len: usize,
}

impl<'c> Training<'c> {
    /// With batch norm or without.
    fn new(cuda: &'c Cuda, norm: bool) -> Training<'c> {
        let (widths, len) = ([30, 24, 17, 10], 150);
        let network = slow::network(&widths, Activation::Relu, norm, InputScale::Unit, 3);
        let samples = Samples::new(cuda, &slow::split(len, widths[0], 10, 5)).unwrap();
        let optimizer = Optimizer::AdamW { betas: [0.9, 0.99], eps: 1e-8 };
        let update = Update { optimizer, lr: 1e-3, weight_decay: 0.01, step: 0 };
        let net = Net::new(cuda, &network).unwrap();
        let trainer = Trainer::new(net, LossKind::CrossEntropy, update, 7, len).unwrap();
        Training { trainer, samples, len }
    }

    fn step(&mut self, count: usize) {
        self.trainer.step(&self.samples, Rows::From(0), count).unwrap();
    }

    fn params(&self) -> Vec<f32> {
        self.trainer.check().unwrap();
        all(self.trainer.net.backend, &self.trainer.net.params)
    }
}

/// The card again, with counters that nobody else moves; in the precision that a stand-in is quickest in.
fn alone() -> Cuda {
    Cuda::open(0, Precision::Simt).unwrap()
}

fn a_step_is_one_graph_and_allocates_nothing(_: &Cuda) {
    for precision in [Precision::Simt, Precision::F32] {
        one_graph_and_no_memory(&Cuda::open(0, precision).unwrap());
    }
}

/// Three layers without batch norm: three forwards, the loss, three backwards, two for the update.
fn a_small_step_is_nine_launches(_: &Cuda) {
    let cuda = alone();
    let mut training = Training::new(&cuda, false);
    let before = cuda.counters();
    training.step(training.len);
    assert_eq!(cuda.counters().launches - before.launches, 9);
}

/// Operands, product, moments and norm, then dz, the gradient below, that of W, and what their tiles left: twice, but that
/// nothing is below the first layer. The layer of the logits, the loss and the update take the rest: one forward, one, six
/// backward, two.
fn a_normalised_layer_is_eight_launches(_: &Cuda) {
    let cuda = Cuda::open(0, Precision::F32).unwrap();
    let mut training = Training::new(&cuda, true);
    let before = cuda.counters();
    training.step(training.len);
    assert_eq!(cuda.counters().launches - before.launches, 8 + (8 - 1) + (1 + 1 + 6 + 2));
}

/// As launches and in graphs: all kernels from 9.0 on, none before.
fn kernels_overlap_where_they_wait(_: &Cuda) {
    let cuda = alone();
    let mut training = Training::new(&cuda, true);
    (0..3).for_each(|_| training.step(training.len));
    let off = std::env::var_os("NETDYN_OVERLAP").is_some_and(|set| set == "off");
    let waits = card(0).unwrap().capability >= 90 && !off;
    let counters = cuda.counters();
    assert_eq!(counters.overlaps, if waits { counters.launches } else { 0 });
}

fn one_graph_and_no_memory(cuda: &Cuda) {
    let mut training = Training::new(cuda, true);
    training.step(training.len);
    let (before, steps) = (cuda.counters(), 6);
    for _ in 0..steps {
        training.step(training.len);
    }
    let after = cuda.counters();
    assert_eq!(after.allocations, before.allocations);
    assert_eq!((after.sequences - before.sequences, after.graphs), (steps, 1));
    // The arguments of a step differ from those of the last one in the number of the step alone, which the two kernels of
    // the update read; so all memory that operations take for themselves is where it was.
    assert_eq!(after.changes, 2 * (steps - 1));
}

fn shapes_keep_their_graphs(_: &Cuda) {
    let cuda = alone();
    let mut training = Training::new(&cuda, true);
    for count in [150, 40, 150, 40, 150, 150, 40] {
        training.step(count);
    }
    let counters = cuda.counters();
    assert_eq!((counters.sequences, counters.graphs), (6, 2)); // the first step was none
}

/// Evaluation takes memory that the steps use, and gives it back in another order.
fn work_between_steps_changes_nothing(_: &Cuda) {
    let cuda = alone();
    let mut plain = Training::new(&cuda, true);
    (0..5).for_each(|_| plain.step(plain.len));
    let mut disturbed = Training::new(&cuda, true);
    let mut kept = Vec::new();
    for step in 0..5 {
        disturbed.step(disturbed.len);
        let limit = disturbed.len - 10 * step;
        outcome(&disturbed.trainer.net, &disturbed.samples, limit, BnMode::Batch).unwrap();
        kept.push(cuda.zeros::<f32>(3_000 * step + 1).unwrap());
    }
    assert!(disturbed.params() == plain.params());
}

fn threads_record_for_themselves(_: &Cuda) {
    let cuda = alone();
    let train = || {
        let mut training = Training::new(&cuda, true);
        (0..8).for_each(|_| training.step(training.len));
        training.params()
    };
    let want = train();
    let got: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(train)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(got.iter().all(|params| *params == want));
}

fn a_sequence_only_launches(cuda: &Cuda) {
    let mut recording = Recording::default();
    let (x, mut y) = (cuda.upload(&[1f32; 50]).unwrap(), cuda.zeros::<f32>(50).unwrap());
    let add = |y: &mut _| {
        let x = Part::new(&x, 0, 50);
        cuda.add_scaled(1.0, x, x, PartMut::new(y, 0, 50))
    };
    cuda.sequence(&mut recording, || add(&mut y)).unwrap();
    // Refused when it is recorded, and when it would be launched as it comes.
    for mut recording in [recording, Recording::default()] {
        let mut refused = |work: &mut dyn FnMut() -> netdyn::Result<()>| {
            let answer = cuda.sequence(&mut recording, work);
            assert!(answer.as_ref().is_err_and(|e| e.to_string().contains("only launch")), "{answer:?}");
        };
        refused(&mut || cuda.upload(&[1f32]).map(drop));
        refused(&mut || cuda.zeros::<f32>(1).map(drop));
        refused(&mut || cuda.download(Part::new(&x, 0, 1)).map(drop));
        refused(&mut || cuda.write(&[1f32], PartMut::new(&mut y, 0, 1)));
        refused(&mut || cuda.sequence(&mut Recording::default(), || Ok(())));
    }
    add(&mut y).unwrap();
    assert_eq!(all(cuda, &y), [2f32; 50]);
}

fn what_failed_is_not_launched(cuda: &Cuda) {
    let x = values::<f32>(1, 300);
    let x = cuda.upload(&x).unwrap();
    let mut y = cuda.upload(&[5f32; 300]).unwrap();
    let mut recording = Recording::default();
    let run = |y: &mut _, recording: &mut _, answer: netdyn::Result<()>| {
        cuda.sequence(recording, || {
            let x = Part::new(&x, 0, 300);
            cuda.add_scaled(-1.0, x, x, PartMut::new(y, 0, 300))?;
            answer
        })
    };
    run(&mut y, &mut recording, Ok(())).unwrap();
    assert_eq!(all(cuda, &y), [0f32; 300]);
    cuda.write(&[5f32; 300], PartMut::new(&mut y, 0, 300)).unwrap();
    let failed = run(&mut y, &mut recording, Err(netdyn::Error::Failed("for a test".into())));
    assert!(failed.is_err());
    assert_eq!(all(cuda, &y), [5f32; 300]);
    run(&mut y, &mut recording, Ok(())).unwrap();
    assert_eq!(all(cuda, &y), [0f32; 300]);
}
