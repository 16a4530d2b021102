//! Every workload that `docs/performance.md` compares, under the names that `scripts/peers/bench.py` uses, and
//! the operations behind them.
//!
//! `cargo bench --bench netdyn -- step_512x8` runs one group; `scripts/bench-cpu` runs these and the peers in turn.
//! Where there is a card every workload runs on it too, as `group/cuda/size`, and those of matrix products once more in
//! each precision, as `group/cuda-tf32/size`; `scripts/gpu-check` runs those beside the peers. The program asks for no
//! file: built once, it runs on any machine.
//!
//! Next to the times a comparable workload leaves a few of its results in the folder named by
//! `NETDYN_BENCH_CHECKS`, so that a table of times can say that both sides computed the same.

mod analyses;
mod inputs;
mod operations;
mod products;
mod steps;

use criterion::{BenchmarkId, Criterion, Throughput};
use netdyn::Result;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::cuda::Cuda;
use netdyn::backend::{Backend, Part, Precision};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Uses as many threads as `NETDYN_BENCH_THREADS` says, or as there are processors.
fn main() {
    let asked = std::env::var("NETDYN_BENCH_THREADS").ok().and_then(|text| text.parse().ok());
    let threads = asked.or(std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    // As in the program, everything runs inside the pool: entering it for every operation would cost a small
    // network more than its arithmetic.
    Cpu::new(threads).unwrap().install(bench).unwrap();
}

fn bench(cpu: &Cpu) -> Result<()> {
    let criterion = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3));
    let criterion = &mut criterion.configure_from_args();
    let cpu = &mut Bench { criterion, backend: cpu, device: None };
    of_products(cpu);
    of_the_rest(cpu);
    steps::small_net_8seeds(cpu, [cpu.backend; steps::SEEDS]);
    on_cards(criterion)?;
    criterion.final_summary();
    Ok(())
}

/// Everything on the first card, if there is one.
fn on_cards(criterion: &mut Criterion) -> Result<()> {
    let precisions = [
        ("cuda", Precision::F32),
        ("cuda-tf32", Precision::Tf32),
        ("cuda-bf16", Precision::Bf16),
        ("cuda-simt", Precision::Simt),
    ];
    // All at once: closing the last one ends the driver's context, and a new one takes a while.
    let cards: Result<Vec<_>> =
        precisions.into_iter().map(|(_, precision)| Cuda::open(0, precision)).collect();
    let cards = match cards {
        Ok(cards) => cards,
        Err(why) if std::env::var_os("NETDYN_REQUIRE_CUDA").is_none() => {
            eprintln!("nothing is timed on a card: {why}");
            return Ok(());
        }
        Err(why) => return Err(why),
    };
    for ((device, precision), card) in precisions.into_iter().zip(&cards) {
        let card = &mut Bench { criterion, backend: card, device: Some(device) };
        of_products(card);
        if precision == Precision::F32 {
            of_the_rest(card);
            analyses::ranks_layer(card);
            analyses::basins(card, 60_000);
            analyses::full(card, 60_000);
            let streams = (0..steps::SEEDS).map(|_| Cuda::open(0, precision)).collect::<Result<Vec<_>>>()?;
            steps::small_net_8seeds(card, std::array::from_fn(|i| &streams[i]));
            steps::growth(card);
        }
    }
    Ok(())
}

/// Workloads whose time depends on the arithmetic of the matrix products.
fn of_products<B: Backend>(bench: &mut Bench<'_, B>) {
    steps::step_512x8(bench);
    steps::step_128x21(bench);
    steps::shallow(bench);
    steps::small_net(bench);
    products::gemm(bench);
    products::gemm_u8(bench);
    products::gemm_dw(bench);
    analyses::forward(bench);
    operations::linear(bench);
    operations::linear_backward(bench);
}

fn of_the_rest<B: Backend>(bench: &mut Bench<'_, B>) {
    analyses::rpd_layer(bench);
    analyses::lmap_curve(bench);
    analyses::basins(bench, 2_000);
    analyses::full(bench, 2_000);
    operations::normals(bench);
    operations::gram(bench);
}

/// A processor to time.
struct Bench<'a, B> {
    criterion: &'a mut Criterion,
    backend: &'a B,
    /// Its name in the ids; the CPU has none.
    device: Option<&'static str>,
}

impl<'a, B: Backend> Bench<'a, B> {
    /// Times `run` as `group/size`, `amount` of work (operations or samples) a call. What it works on is made once, and
    /// only if the command line asks for this benchmark. The clock stops when the processor is done.
    fn time<T>(
        &mut self,
        case: (&str, usize),
        amount: u64,
        make: impl Fn(&'a B) -> Result<T>,
        run: impl FnMut(&'a B, &mut T) -> Result<()>,
    ) {
        let wait = |backend: &'a B| backend.download(Part::new(&backend.zeros::<u8>(1)?, 0, 1)).map(drop);
        self.time_until(case, amount, make, wait, run);
    }

    /// The same with its own way to `wait` until all work is done.
    fn time_until<T>(
        &mut self,
        (group, size): (&str, usize),
        amount: u64,
        make: impl Fn(&'a B) -> Result<T>,
        wait: impl Fn(&'a B) -> Result<()>,
        mut run: impl FnMut(&'a B, &mut T) -> Result<()>,
    ) {
        let id = match self.device {
            None => BenchmarkId::from_parameter(size),
            Some(device) => BenchmarkId::new(device, size),
        };
        let (mut made, backend) = (None, self.backend);
        let mut group = self.criterion.benchmark_group(group);
        group.throughput(Throughput::Elements(amount));
        group.bench_function(id, |bencher| {
            let work = made.get_or_insert_with(|| make(backend).unwrap());
            bencher.iter_custom(|calls| {
                wait(backend).unwrap();
                let start = Instant::now();
                (0..calls).for_each(|_| run(backend, black_box(work)).unwrap());
                wait(backend).unwrap();
                start.elapsed()
            });
        });
        group.finish();
    }

    /// How a case's results are filed.
    fn checks(&self, (group, size): (&str, usize)) -> Checks {
        let device = self.device.map(|device| format!("{device}_")).unwrap_or_default();
        Checks(format!("{group}_{device}{size}.json"))
    }
}

/// The name under which a case leaves its results.
struct Checks(String);

impl Checks {
    /// Leaves results of a case for the comparison with the peers.
    fn record(&self, values: &[f64]) {
        if let Some(folder) = std::env::var_os("NETDYN_BENCH_CHECKS") {
            let file = std::path::Path::new(&folder).join(&self.0);
            std::fs::write(file, serde_json::to_string(values).unwrap()).unwrap();
        }
    }
}
