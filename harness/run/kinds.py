"""Every kind of step: most are declared beside the function that does their work."""

from collections import defaultdict
from collections.abc import Mapping

from harness.data.chat_format import TOKENIZER
from harness.data.prepare import DIALOGUES, MISMATCHED, PAIRS, TEXT
from harness.evaluate.answers import BY_CONTROL, BY_ENDPOINT, BY_MODEL, STORED
from harness.evaluate.judge_check import JUDGE_CHECK
from harness.evaluate.judge_noise.repeats import REPEATS
from harness.evaluate.judgments import JUDGMENTS
from harness.evaluate.openllm import TASKS
from harness.models.prepare import INIT, LINK, WORLD
from harness.results.health.overlap import OVERLAP
from harness.signals.diverse_responses import GROUP
from harness.signals.kinds import HEAD, PROBES, REWARDS, SIGNALS
from harness.signals.rollouts import ROLLOUTS
from harness.store.step import StepKind
from harness.train.costs import OBJECTIVE, TRAIN
from harness.train.select_checkpoint import SELECT

KINDS: tuple[StepKind, ...] = (
    *(WORLD, LINK, INIT, TOKENIZER, TEXT, DIALOGUES, PAIRS, MISMATCHED),
    *(ROLLOUTS, GROUP, PROBES, SIGNALS, HEAD, REWARDS),
    *(TRAIN, SELECT, OBJECTIVE),
    *(BY_MODEL, BY_ENDPOINT, BY_CONTROL, STORED, JUDGMENTS, REPEATS, TASKS, JUDGE_CHECK, OVERLAP),
)


def versions() -> Mapping[str, set[int]]:
    """The versions of each kind that are made today: an artifact of another one is used by no plan."""
    # A set, since kinds may share a name (answers of models, endpoints, files) and differ in version.
    found: dict[str, set[int]] = defaultdict(set)
    for kind in KINDS:
        found[kind.name].add(kind.version)
    return found
