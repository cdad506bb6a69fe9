"""The benchmarks that ask questions and read answers, in the order of the tables' columns.

To add one: write a folder that ends in a `Benchmark` and add a line here; or expose it under the entry-point
group "bench.benchmarks" from another package; or name the file, `bench run --benchmark-file yours.py`.
What is measured on the model itself (log-likelihoods, rewards) is registered in harness/evaluate/registry.py.
"""

from benchmarks.alpaca_eval import declaration as alpaca_eval
from benchmarks.arena_hard import declaration as arena_hard
from benchmarks.declaration import Benchmark, DataSet
from benchmarks.gsm8k import declaration as gsm8k
from benchmarks.judge_check import declaration as judge_check
from benchmarks.mt_bench import declaration as mt_bench

BUILT_IN: tuple[Benchmark, ...] = (
    mt_bench.BENCHMARK,
    alpaca_eval.ONE,
    alpaca_eval.TWO,
    arena_hard.BENCHMARK,
    gsm8k.BENCHMARK,
)
DATA_SETS: dict[str, DataSet] = {
    data.name: data for data in (*(b.data_set for b in BUILT_IN if b.data_set), judge_check.DATA_SET)
}
