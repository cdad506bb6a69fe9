"""The tasks that can be asked for: those of the two Open LLM Leaderboards, and those of a folder.

    "v1" -> arc_challenge 25-shot, hellaswag 10, mmlu 5, truthfulqa_mc2 0, winogrande 5, gsm8k 5
    "v2" -> leaderboard_bbh 3-shot, _gpqa 0, _ifeval 0, _math_hard 4, _mmlu_pro 5, _musr 0

Both as the boards ran them; the tasks themselves are lm-eval's of today, so print their versions.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.openllm import local_rows
from benchmarks.text import cut


class Board(NamedTuple):
    """One benchmark of a leaderboard: where lm-eval keeps it, and how the board runs it.

    `leaves` begins the names of its subtasks, where it has any; `extra` is the one of ours that it needs,
    `filter` the reading of replies that it scores.
    """

    folder: str
    num_fewshot: int
    metric: str
    leaves: str = ""
    extra: str = ""
    filter: str = "none"


V1 = {
    "arc_challenge": Board("arc", 25, "acc_norm"),
    "hellaswag": Board("hellaswag", 10, "acc_norm"),
    "mmlu": Board("mmlu/default", 5, "acc", "mmlu_"),
    "truthfulqa_mc2": Board("truthfulqa", 0, "acc"),
    "winogrande": Board("winogrande", 5, "acc"),
    "gsm8k": Board("gsm8k", 5, "exact_match", filter="strict-match"),
}
V2 = {
    "leaderboard_bbh": Board("leaderboard/bbh_mc", 3, "acc_norm", "leaderboard_bbh_"),
    "leaderboard_gpqa": Board("leaderboard/gpqa", 0, "acc_norm", "leaderboard_gpqa_"),
    "leaderboard_ifeval": Board("leaderboard/ifeval", 0, "prompt_level_strict_acc", extra="ifeval"),
    "leaderboard_math_hard": Board("leaderboard/math", 4, "exact_match", "leaderboard_math_", "math"),
    "leaderboard_mmlu_pro": Board("leaderboard/mmlu_pro", 5, "acc"),
    "leaderboard_musr": Board("leaderboard/musr", 0, "acc_norm", "leaderboard_musr_"),
}
SETS = {"openllm": tuple(V1), "v1": tuple(V1), "v2": tuple(V2), "leaderboard": tuple(V2)}
EXTRAS = {"ifeval": ("langdetect", "immutabledict", "nltk"), "math": ("math_verify", "sympy", "antlr4")}
PUNKT = "llama_index/core/_static/nltk_cache"  # nltk's punkt_tab, for it comes in no wheel of its own


def expand(tasks: Sequence[str], include: Path | None = None) -> list[str]:
    """The names with sets replaced by their tasks, each once; a folder's own names come first."""
    own = folder_index(include) if include else {}
    names = [task for name in tasks for task in (SETS.get(name, (name,)) if name not in own else (name,))]
    return list(dict.fromkeys(names))


def index(tasks: Sequence[str], include: Path | None) -> dict[str, Any]:
    """Task, group or tag -> lm-eval's entry; an unknown one is a ValueError with the nearest match."""
    own = folder_index(include) if include else {}
    known = own if all(name in own for name in tasks) else {**leaderboard_index(), **own}
    for name in tasks:
        if name not in known:
            near = get_close_matches(name, [*known, *SETS], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join([*own, *V1, *V2, *SETS])}"
            raise ValueError(f"no task {name!r}; {hint}")
    return known


def check(
    tasks: Sequence[str],
    include: Path | None = None,
    data: Path | None = None,
    *,
    num_fewshot: int | None = None,
    endpoint: bool = False,
) -> None:
    """ValueError, one line, where `evaluate` could not run: an unknown task, absent rows, an absent package.

    `endpoint`: a chat endpoint answers, which gives no log-likelihoods. About 2 s, for lm-eval is imported;
    rows on the hub are asked for with a time limit of some seconds.
    """
    names = expand(tasks, include)
    known = index(names, include)
    own = folder_index(include) if include else {}
    on_hub: dict[str, str] = {}
    for name in [leaf for asked in names for leaf in leaves(known, asked)]:
        config, board = known[name].cfg, None if name in own else board_of(name)
        if endpoint and config.get("output_type") != "generate_until":
            alone = ", ".join(n for n in names if _writes(known, n)) or "none of those asked for"
            raise ValueError(
                f"{name} needs log-likelihoods, which an endpoint does not give; those that do not: {alone}"
            )
        if board and board.extra:
            check_extra(name, board.extra)
        if include and name in own:
            local_rows.check_inside(name, config, known[name].yaml_path, include)
        shots = board.num_fewshot if board and num_fewshot is None else num_fewshot
        if local_rows.is_local(config, data):
            local_rows.check_files(name, config, known[name].yaml_path, data, shots or 0)
        elif isinstance(config.get("dataset_path"), str) and "custom_dataset" not in config:
            on_hub.setdefault(config["dataset_path"], name)
    for dataset, name in on_hub.items():
        local_rows.check_hub(name, dataset, data)


def leaves(known: Mapping[str, Any], name: str, within: tuple[str, ...] = ()) -> list[str]:
    """The tasks of a group or tag, by name; of a task itself. ValueError for a group `within` itself."""
    if name in within:
        raise ValueError(f"{name}: a group of itself ({' > '.join((*within, name))}); tasks, or other groups")
    entry = known[name]
    below = entry.tags if entry.cfg is None else entry.cfg.get("task")
    if not isinstance(below, list | set):
        return [name]
    inside = [child if isinstance(child, str) else child["task"] for child in below]
    return sorted(
        {leaf for child in inside if child in known for leaf in leaves(known, child, (*within, name))}
    )


def _writes(known: Mapping[str, Any], name: str) -> bool:
    return all(known[leaf].cfg.get("output_type") == "generate_until" for leaf in leaves(known, name))


def board_of(leaf: str) -> Board | None:
    """The benchmark of a leaderboard that a task is, or is a part of."""
    boards = V1 | V2
    parts = (b for b in boards.values() if b.leaves and leaf.startswith(b.leaves))
    return boards.get(leaf) or next(parts, None)


@cache
def leaderboard_index() -> dict[str, Any]:
    """What lm-eval keeps in the leaderboards' folders. All of its 14,685 tasks would take 19 s."""
    spec = find_spec("lm_eval")
    assert spec and spec.origin
    folders = dict.fromkeys([*(board.folder for board in V1.values()), "leaderboard"])
    return _index(*(Path(spec.origin).parent / "tasks" / folder for folder in folders))


def folder_index(include: Path) -> dict[str, Any]:
    """Task, group or tag of a folder of YAML files -> its entry."""
    if not include.is_dir():
        raise ValueError(f"include: no folder {include}")
    return _index(include)


def _index(*folders: Path) -> dict[str, Any]:
    from lm_eval.tasks import TaskManager  # imports datasets

    try:
        found: dict[str, Any] = TaskManager(include_path=list(folders), include_defaults=False).task_index
    except (TypeError, AttributeError, LookupError) as error:
        words = cut(f"{type(error).__name__}: {error}", 120)
        raise ValueError(f"include: lm-eval cannot read the tasks in {folders[0]}: {words}") from error
    if strange := [name for name in found if not isinstance(name, str)]:
        raise ValueError(f"{found[strange[0]].yaml_path}: task: given {cut(repr(strange[0]))}; a name")
    return found


def check_extra(task: str, extra: str) -> None:
    """ValueError where a package is not installed that a task's own code imports."""
    absent = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if extra == "ifeval" and not absent and not _has_punkt():
        absent = ["nltk's punkt_tab"]
    if absent:
        raise ValueError(f"{task} needs {', '.join(absent)}: pip install 'prefbench[{extra}]'")


@contextmanager
def ifeval_tools() -> Iterator[None]:
    """nltk finds the sentences' model, and langdetect, which draws, draws the same each time."""
    if any(find_spec(name) is None for name in EXTRAS["ifeval"]):
        yield
        return
    data, detector = _nltk_data(), import_module("langdetect").DetectorFactory
    places, seed = list(data.path), detector.seed
    data.path[:] = [*places, *(str(place) for place in _punkt_folders())]
    detector.seed = 0
    try:
        yield
    finally:
        data.path[:] = places
        detector.seed = seed


def _has_punkt() -> bool:
    places = [*map(Path, _nltk_data().path), *_punkt_folders()]
    return any(
        (place / "tokenizers" / f"punkt_tab{end}").exists() for place in places for end in ("", ".zip")
    )


def _nltk_data() -> Any:
    return import_module("nltk").data  # installed for IFEval alone


def _punkt_folders() -> list[Path]:
    spec = find_spec("llama_index")  # a namespace: importing llama_index.core itself would take seconds
    roots = [Path(place).parent for place in (spec and spec.submodule_search_locations) or ()]
    return [root / PUNKT for root in roots]
