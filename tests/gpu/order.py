"""The parts in order of worth: where time ends early, what stands first has been measured."""

PARTS = {  # name -> the module and function that measures it
    "versions": "tests.gpu.parts.kernels:versions",
    "head": "tests.gpu.parts.kernels:head",
    "statistics": "tests.gpu.parts.kernels:statistics",
    "attention": "tests.gpu.parts.kernels:attention",
    "train-dpo": "tests.gpu.parts.training:dpo",
    "train-dckd": "tests.gpu.parts.training:dckd",
    "train-adpa": "tests.gpu.parts.training:adpa",
    "activations": "tests.gpu.parts.memory:activations",
    "generation": "tests.gpu.parts.generation:generation",
    "log-likelihoods": "tests.gpu.parts.log_likelihoods:asked",
    "twice": "tests.gpu.parts.training:twice",
    "out-of-memory": "tests.gpu.parts.memory:out_of_memory",
    "live-teachers": "tests.gpu.parts.training:live_teachers",
    "table": "tests.gpu.parts.table:table",
    "vllm": "tests.gpu.parts.generation:vllm",
    "train-kd": "tests.gpu.parts.training:kd",
    "rows": "tests.gpu.parts.other_ways:rows",
    "decoding": "tests.gpu.parts.other_ways:decoding",
    "compiled": "tests.gpu.parts.training:compiled",
    "trl": "tests.gpu.parts.training:trl",
}
