"""What passes of a frozen model take, and answers that it writes token by token."""

from dataclasses import replace

from harness.forecast.cost import BYTES, Cost, Sizes
from harness.forecast.sizes import ModelSize
from harness.forecast.texts import LONGEST, Text
from harness.signals.stored import CHUNK
from harness.store.step import Step

LOGITS = 3  # float32 copies of logits without a backward pass
ID = 5  # bytes that a token takes in a set of sequences: its id and whether it is read
ROW = 12  # bytes of a sequence: its length and its row


def forward(model: ModelSize, tokens: float, answered: float) -> float:
    """Operations of a forward pass over tokens, with the head on those that are answers."""
    return 2 * (model.body * tokens + model.head * answered)


def passing(model: ModelSize, positions: int, number: int, rows: int = CHUNK) -> float:
    """Bytes of a forward pass without gradient over `positions` at once, weights of `number` bytes, logits of
    `rows` tokens.
    """
    activations = positions * (4 * model.hidden + 2 * model.ffn) * number
    return model.parameters * number + activations + rows * model.vocab * 4 * LOGITS


def stored(text: Text) -> float:
    """Bytes of a set of sequences on disk."""
    return ID * text.tokens + ROW * text.sequences


def signals(step: Step, sizes: Sizes) -> Cost:
    """One pass of a frozen model; what is stored depends on the form."""
    model, text = sizes.models.of(step.inputs["model"]), sizes.texts.of(step.inputs["sequences"])
    settings, number = step.settings, BYTES[step.settings["dtype"]]
    k = settings.get("k", 0)
    each = {"logps": 4, "hidden": 4 + model.hidden * number, "topk": 8 + 8 * min(k, model.vocab)}
    return Cost(
        work="forward",
        flops=forward(model, text.tokens, text.answered),
        precision=settings["dtype"],
        tokens=text.tokens,
        sequential=_batches(text.tokens, sizes.machine.tokens),
        layers=model.layers,
        loads=model.parameters * number,
        disk=text.answered * each[settings["form"]],
        memory=passing(model, sizes.machine.tokens, number),
        assumed=(*model.notes, *text.notes),
    )


def _batches(tokens: float, most: int) -> int:
    return max(1, -(-int(tokens) // most))


def head(step: Step, sizes: Sizes) -> Cost:
    model, number = sizes.models.of(step.inputs["model"]), BYTES[step.settings["dtype"]]
    return Cost(disk=model.head * number, loads=model.parameters * number, assumed=model.notes)


def decoding(model: ModelSize, text: Text, most: int, sizes: Sizes) -> Cost:
    """Answers of at most `most` tokens, decoded in float32 a batch at a time: one that is cut off keeps its
    whole batch going to the end.
    """
    batch = min(sizes.machine.batch, text.sequences)
    rounds = -(-text.sequences // max(1, batch))
    longest = round(text.prompt) + most
    return Cost(
        work="decode",
        flops=forward(model, text.tokens, text.answered),
        tokens=text.answered,
        sequential=rounds * most,
        layers=model.layers,
        reads=4.0 * model.parameters,
        loads=4.0 * model.parameters,
        fixed=4.0 * model.parameters,
        memory=4.0 * (model.parameters + batch * model.vocab * LOGITS) + model.cache(batch * longest),
        assumed=(*model.notes, *text.notes),
    )


def rollouts(step: Step, sizes: Sizes) -> Cost:
    """Responses as long as they can be, since nobody has written them: operations are an upper bound."""
    prompts, settings = sizes.texts.of(step.inputs["prompts"]), step.settings
    count = prompts.sequences * settings["samples"]
    answered = count * settings["max_tokens"]
    text = Text(count, round(count * prompts.prompt) + answered, answered, (*prompts.notes, LONGEST))
    found = decoding(sizes.models.of(step.inputs["model"]), text, settings["max_tokens"], sizes)
    return replace(found, disk=stored(text) + count)


def probes(step: Step, sizes: Sizes) -> Cost:
    """Every ordered pair of a prompt's responses, in one question each."""
    model, group = sizes.models.of(step.inputs["model"]), sizes.texts.of(step.inputs["group"])
    keep = step.sources["group"].settings["keep"]
    probes = group.sequences * (keep - 1)
    words = len(step.settings["question"].split())
    tokens = round(probes * (group.prompt + words + 2 * group.answered / max(1, group.sequences)))
    number = BYTES[step.settings["dtype"]]
    return Cost(
        work="forward",
        flops=forward(model, tokens, probes),
        precision=step.settings["dtype"],
        tokens=tokens,
        sequential=_batches(tokens, sizes.machine.tokens),
        layers=model.layers,
        loads=model.parameters * number,
        disk=4 * group.sequences,
        memory=passing(model, sizes.machine.tokens, number, _batches(sizes.machine.tokens, tokens // probes)),
        assumed=(*model.notes, *group.notes, "a token for each word of the probe's question"),
    )


def rewards(step: Step, sizes: Sizes) -> Cost:
    model, text = sizes.models.of(step.inputs["model"]), sizes.texts.of(step.inputs["rollouts"])
    number = BYTES[step.settings["dtype"]]
    return Cost(
        work="forward",
        flops=2 * model.body * text.tokens,
        precision=step.settings["dtype"],
        tokens=text.tokens,
        sequential=_batches(text.tokens, sizes.machine.tokens),
        layers=model.layers,
        loads=model.parameters * number,
        disk=80 * text.sequences,
        memory=passing(model, sizes.machine.tokens, number, rows=0),
        assumed=(*model.notes, *text.notes, "the reward model's tokens are the student's"),
    )
