//! Every workload that `docs/performance.md` compares, under the names that `scripts/peers/bench.py` uses, and
//! the operations behind them.
//!
//! `cargo bench --bench netdyn -- step_512x8` runs one group; `scripts/bench-cpu` runs these and the peers in turn.
//! Next to the times a comparable workload leaves a few of its results in the folder named by
//! `NETDYN_BENCH_CHECKS`, so that a table of times can say that both sides computed the same.

mod analyses;
mod inputs;
mod operations;
mod steps;

use criterion::{BenchmarkId, Criterion, Throughput};
use netdyn::Result;
use netdyn::backend::cpu::Cpu;
use std::time::Duration;

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
    steps::step_512x8(criterion, cpu);
    steps::shallow(criterion, cpu);
    steps::small_net(criterion, cpu);
    analyses::gemm(criterion, cpu);
    analyses::forward(criterion, cpu);
    analyses::rpd_layer(criterion, cpu);
    analyses::lmap_curve(criterion, cpu);
    analyses::basins(criterion, cpu);
    operations::linear(criterion, cpu);
    operations::linear_backward(criterion, cpu);
    operations::normals(criterion, cpu);
    operations::gram(criterion, cpu);
    criterion.final_summary();
    Ok(())
}

/// Times `run` as `group/size`, `amount` of work (operations or samples) a call. What it works on is made once, and only if the command
/// line asks for this benchmark.
fn time<T>(
    criterion: &mut Criterion,
    (group, size): (&str, usize),
    amount: u64,
    make: impl Fn() -> Result<T>,
    mut run: impl FnMut(&mut T) -> Result<()>,
) {
    let mut made = None;
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(amount));
    group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
        let work = made.get_or_insert_with(|| make().unwrap());
        bencher.iter(|| run(work).unwrap());
    });
    group.finish();
}

/// Leaves results of a case for the comparison with the peers.
fn record_check((group, size): (&str, usize), values: &[f64]) {
    if let Some(folder) = std::env::var_os("NETDYN_BENCH_CHECKS") {
        let file = std::path::Path::new(&folder).join(format!("{group}_{size}.json"));
        std::fs::write(file, serde_json::to_string(values).unwrap()).unwrap();
    }
}
