"""What only a GPU can tell of this project: parts in order of worth, JSON lines out, within a budget of time.

    python -m tests.gpu --out FOLDER [--budget 420] [--small] [--parts attention,train-dpo]
    python -m tests.gpu page FOLDER/gpu_check.jsonl      the GPU part of docs/performance.md, from the lines

`--small` has the same parts in a size that a CPU runs within a minute.
"""
