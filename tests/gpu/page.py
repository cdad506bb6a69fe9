"""The GPU part of docs/performance.md, from the lines of a check; it stands between two marks of the page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.gpu.check import Line
from tests.gpu.order import PARTS

PAGE = Path("docs/performance.md")
BEGIN, END = "<!-- gpu check -->\n", "<!-- end of gpu check -->\n"
NOT_MEASURED = "Not measured: `make gpu-check`, then `python -m tests.gpu page runs/gpu/gpu_check.jsonl`.\n"
TRAINED = ("train-dpo", "train-dckd", "train-adpa", "live-teachers", "train-kd", "compiled", "trl")
SIDES = {"auto": "ours", "trl": "TRL, `precompute_ref_log_probs`"}
UNMEASURED = ("error", "absent", "left_out")  # keys of lines that say why
Lines = list[Line]


def write(file: Path, page: Path = PAGE) -> None:
    """Put what a check found into the page."""
    lines = [json.loads(text) for text in file.read_text().splitlines()]
    page.write_text(replaced(page.read_text(), section(lines)))


def kept(page: str) -> str:
    """The part of a page that a check wrote, and what stands there before one did."""
    if BEGIN not in page or END not in page:
        return NOT_MEASURED
    return page.split(BEGIN)[1].split(END)[0]


def replaced(page: str, section: str) -> str:
    """The page with another part between the marks; ValueError without them."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"the page must have {BEGIN.strip()} and {END.strip()}, once each and in this order")
    before, rest = page.split(BEGIN)
    return before + BEGIN + section + END + rest.split(END)[1]


def section(lines: Lines) -> str:
    """What the lines of one check say; of a part that ran twice the last one counts."""
    versions = [line for line in lines if line["part"] == "versions" and "gpu" in line]
    if not versions or not versions[-1]["gpu"]:
        return NOT_MEASURED
    found = [_machine(versions[-1])]
    for title, text in TABLES:
        told = text(lines)
        found.append(f"{title}\n\n{told}" if told else "")
    return "\n".join([*filter(None, found), _unmeasured(lines)])


def table(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    """A table of Markdown; nothing without rows."""
    if not rows:
        return ""
    head = f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n"
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def of(lines: Lines, *parts: str) -> Lines:
    """What parts found, in the order of the lines, of each part its last run."""
    runs: dict[str, list[Lines]] = {}
    for line in lines:
        if line.keys() & {"seconds", *UNMEASURED}:
            runs.setdefault(line["part"], [[]]).append([])
        else:
            runs.setdefault(line["part"], [[]])[-1].append(line)
    return [line for part in parts for line in next((r for r in reversed(runs.get(part, [])) if r), [])]


def _machine(versions: Line) -> str:
    gpu, packages = versions["gpu"], versions["packages"]
    named = ", ".join(f"{name} {version}" for name, version in packages.items() if version != "-")
    against = f"{gpu['flops'] / 1e12:.0f} TFLOP/s, the peak of {gpu['as']} in bfloat16"
    return f"{gpu['name']}, held against {against}; CUDA {versions['cuda']}, {named}.\n"


def _number(x: float | None, digits: int = 3) -> str:
    return "-" if x is None else f"{x:.{digits}f}"


def _share(x: float | None) -> str:
    return "-" if x is None else f"{x:.0%}"


def _training(lines: Lines) -> str:
    rows = [
        [
            line["name"],
            SIDES.get(line["side"], f"ours, {line['side']}"),
            _number(line["step_s"]),
            _number(line["tokens_s"], 0),
            _share(line.get("of_peak")),
            _share(line.get("of_peak_with_teachers")),
            _share(line.get("idle")),
            _number(line.get("peak_gb"), 1),
        ]
        for line in of(lines, *TRAINED)
    ]
    columns = ("", "", "s a step", "tokens/s", "of the peak", "with teachers' heads", "idle", "peak GB")
    return table(columns, rows)


def _goals(lines: Lines) -> str:
    """What is held against the goals; "-" where a side of it is not there."""
    steps = {(line["name"], line["side"]): line for line in of(lines, *TRAINED)}
    stored, live = (steps.get(("ADPA", side), {}).get("step_s") for side in ("auto", "live"))
    greedy = {
        line["part"]: line["tokens_s"]
        for line in of(lines, "generation", "vllm")
        if "tokens_s" in line and not line.get("temperature") and line["dtype"].endswith("bfloat16")
    }
    ours, vllm = greedy.get("generation"), greedy.get("vllm")
    rows = [
        [f"{name}'s step, of the peak", ">= 45%", _share(steps.get((name, "auto"), {}).get("of_peak"))]
        for name in ("DPO", "DCKD")
    ]
    rows.append(["ADPA's step with live teachers / from stored signals", ">= 5", _ratio(live, stored)])
    rows.append(["greedy tokens/s in bfloat16 / vLLM's", ">= 0.5", _ratio(ours, vllm)])
    return table(("", "goal", "found"), rows)


def _ratio(a: float | None, b: float | None) -> str:
    return "-" if a is None or b is None else f"{a / b:.2f}"


def _generation(lines: Lines) -> str:
    rows = [
        [
            "vLLM" if line["part"] == "vllm" else "ours",
            line["dtype"].removeprefix("torch."),
            "sampled" if line.get("temperature") else "greedy",
            _number(line["tokens_s"], 0),
            _number(line.get("step_ms"), 1),
            _number(line.get("peak_gb"), 1),
        ]
        for line in of(lines, "generation", "vllm")
        if "tokens_s" in line
    ]
    return table(("", "dtype", "", "tokens/s", "ms a token step", "peak GB"), rows)


def _log_likelihoods(lines: Lines) -> str:
    rows = [
        [
            line["way"],
            line["dtype"].removeprefix("torch."),
            _number(line["again_s"]),
            _number(line.get("peak_gb"), 1),
            f"{line['nats_apart']:.1g}",
        ]
        for line in of(lines, "log-likelihoods")
    ]
    return table(("logits of", "dtype", "s a batch", "peak GB", "nats apart"), rows)


def _attention(lines: Lines) -> str:
    rows = [
        [
            " x ".join(map(str, line["shape"])),
            "on" if line["cudnn"] else "off",
            _number(line["first_ms"], 1),
            _number(line["again_ms"], 1),
        ]
        for line in of(lines, "attention")
        if "cudnn" in line
    ]
    return table(("sequences x positions", "cuDNN", "ms, first call", "ms, again"), rows)


def _agreement(lines: Lines) -> str:
    rows = [
        [line["of"], line.get("dtype", "").removeprefix("torch."), f"{line['apart']:.0e}"]
        for line in of(lines, "head", "statistics")
    ]
    return table(("", "dtype", "largest difference, relative"), rows)


def _rows(lines: Lines) -> str:
    rows = [
        [
            line["row"],
            line["benchmark"],
            _number(line["found"]),
            _number(line["cpu"]),
            f"{line['same']} of {line['of']}",
        ]
        for line in of(lines, "table")
        if "row" in line
    ]
    return table(("", "benchmark", "GPU", "CPU", "same values"), rows)


def _others(lines: Lines) -> str:
    told = {
        "activations": ("positions", "layers", "counted_gb", "on_device_gb", "forecast_gb"),
        "peak": ("positions", "foretold_gb", "peak_gb"),
        "syncs": ("micro_batches", "terms", "syncs"),
        "foreach": ("ok",),
        "offload": ("offload", "step_s", "peak_gb"),
        "table": ("after", "policies", "held_gb", "reserved_gb"),
        "twice": ("deterministic", "equal"),
        "rows": ("way", "again_ms", "apart", "failed"),
        "decoding": ("way", "rows", "step_ms"),
        "vllm-served": ("dtype", "tokens_s", "same_as_ours", "sampled_twice_the_same", "rows"),
        "out-of-memory": ("ballast_gb", "terms", "with_room"),
    }
    rows = [
        [part, "; ".join(f"{key} {_plain(line[key])}" for key in keys if key in line)]
        for part, keys in told.items()
        for line in of(lines, part)
        if line.keys() & set(keys)
    ]
    return table(("", ""), rows)


def _plain(x: Any) -> str:
    return f"{x:.3g}" if isinstance(x, float) else str(x)


def _unmeasured(lines: Lines) -> str:
    """The parts without a result, by the last that was said of each."""
    last = {line["part"]: line for line in lines}
    missing = []
    for name in PARTS:
        line = last.get(name, {"absent": "not asked for"})
        missing += [f"- {name}: {line[key]}" for key in UNMEASURED if key in line]
    return "Not measured:\n\n" + "\n".join(missing) + "\n" if missing else ""


TABLES: tuple[tuple[str, Callable[[Lines], str]], ...] = (
    ("Goals:", _goals),
    ("Optimizer steps:", _training),
    ("Answers:", _generation),
    ("Log-likelihoods of 16 answers to 4 questions behind the same examples:", _log_likelihoods),
    ("Attention, forward and backward:", _attention),
    ("Against the CPU:", _agreement),
    ("Rows of a small suite:", _rows),
    ("Memory and repetition:", _others),
)
