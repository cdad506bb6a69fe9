"""How many sequences and tokens the steps of a plan read and write.

A finished artifact's record says so; of what is not there yet the rows are the suite's or the data set's, the
tokens those of texts.yaml. A response nobody wrote yet has `max_tokens`: the most it can have.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.forecast.sizes import Unknown, table
from harness.store.step import Part, Step
from harness.store.store import Store
from harness.suite.schema import Suite

LONGEST = "responses of max_tokens each, the most there can be"
KEPT = "no row dropped"
WORLD = "tokens of a pocket run"


class Text(NamedTuple):
    """Sequences, all their tokens, and those of them that a loss reads; notes say what is assumed."""

    sequences: int
    tokens: int
    answered: int
    notes: tuple[str, ...] = ()

    @property
    def prompt(self) -> float:
        """Mean tokens before the response."""
        return (self.tokens - self.answered) / max(1, self.sequences)


@dataclass(frozen=True)
class Texts:
    """Sizes of the sets of sequences of a plan's steps."""

    store: Store | None
    suite: Suite

    def of(self, source: Step | Part) -> Text:
        """The sequences of an input. Unknown: nobody here knows how many."""
        step, part = (source.step, source.folder) if isinstance(source, Part) else (source, "")
        folder = self.store.find(step) if self.store else None
        if self.store and folder:
            measured = self.store.record(folder)["measured"]
            found = measured.get(part, measured)
            return Text(found["sequences"], found["tokens"], found["response_tokens"])
        match step.kind:
            case "pairs":
                return self._of_pairs(step, part)
            case "dialogues":
                return self._of_dialogues(step)
            case "text":
                world = self._world()
                rows = int(self.suite.world.pretrain) if self.suite.world else 0
                return Text(rows, rows * world["text"], rows * (world["text"] - 1), (WORLD,))
            case "rollouts":
                return self._of_rollouts(step)
            case "group":
                sampled = self.of(step.inputs["rollouts"])
                share = step.settings["keep"] / step.sources["rollouts"].settings["samples"]
                return _part(sampled, share)
            case "mismatched":
                pairs = step.sources["pairs"]
                sides = self.of(Part(pairs, "chosen")), self.of(Part(pairs, "rejected"))
                return _part(_joined(*sides), 0.5)
        raise Unknown(f"{step.label}: not a set of sequences")

    def _world(self) -> dict[str, Any]:
        return dict(table("texts")["world"])

    def _known(self, step: Step) -> tuple[dict[str, Any], int]:
        """What is known of a data source, and how many rows of it are taken."""
        settings, world = step.settings, self.suite.world
        if "data" in step.sources:
            assert world is not None
            rows = {
                "sft.jsonl": world.sft,
                "preference_train.jsonl": world.pairs,
                "preference_validation.jsonl": world.validation_pairs,
            }.get(settings["path"])
            known, note = self._world(), WORLD
        else:
            path = str(step.context["path"])
            known = dict(table("texts")["data"].get(path) or {})
            rows, note = known.get("rows", {}).get(settings["split"]), f"tokens a row of {path}"
        if rows is None or not known:
            raise Unknown(f"rows of {step.context.get('path', settings['path'])}")
        left = max(0, rows - settings["skip"])
        return known | {"note": note}, min(left, settings["limit"] or left)

    def _of_pairs(self, step: Step, side: str) -> Text:
        known, rows = self._known(step)
        prompt, answer = known["prompt"], known[side]
        scale = min(1.0, step.settings["max_length"] / (prompt + answer))
        notes = (known["note"], KEPT)
        return Text(rows, round(rows * (prompt + answer) * scale), round(rows * answer * scale), notes)

    def _of_dialogues(self, step: Step) -> Text:
        known, rows = self._known(step)
        settings, share = step.settings, 1.0 if step.settings["loss_on"] == "all" else known["answered"]
        each = known["dialogue"]
        if settings["pack"]:
            sequences, tokens = max(1, round(rows * each / settings["max_length"])), rows * each
        else:
            sequences, tokens = rows, rows * min(each, settings["max_length"])
        return Text(sequences, tokens, round(tokens * share), (known["note"],))

    def _of_rollouts(self, step: Step) -> Text:
        prompts, settings = self.of(step.inputs["prompts"]), step.settings
        count = prompts.sequences * settings["samples"]
        answered = count * settings["max_tokens"]
        return Text(count, round(count * prompts.prompt) + answered, answered, (*prompts.notes, LONGEST))


def _joined(a: Text, b: Text) -> Text:
    """Both sets together."""
    return Text(a.sequences + b.sequences, a.tokens + b.tokens, a.answered + b.answered, (*a.notes, *b.notes))


def _part(text: Text, share: float) -> Text:
    """A share of some sequences."""
    return Text(
        round(text.sequences * share), round(text.tokens * share), round(text.answered * share), text.notes
    )
