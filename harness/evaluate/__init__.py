"""Benchmarks on a model: questions, its answers, judgments of them.

registry (what there is) -> questions -> answers -> judges -> judgments; judge_check: how good a judge is
judge_noise: how far its verdicts on one answer scatter
openllm, lm_eval_model, log_likelihoods: lm-eval's tasks; held_out: rewards on held-out pairs
benchmark_files: the data
"""
