"""The steps that answer a benchmark's questions: a checkpoint, an endpoint, a control, or answers that exist.

    answers.jsonl   {"question": "81", "turns": ["..."], "tokens": [12], "truncated": [false]}

Answers are stored once; another judge needs no new ones. Those of an endpoint hold "finish_reasons" too, and
"limits" where its context left less room than was asked for: what it refuses, filters or leaves empty is no
answer, is not judged, and over a share (`max_refused`) fails the step. What a model thought before an answer
is no part of it, unless the benchmark's `thoughts` is "keep": it stands in "thoughts" and in no later prompt.
What a server said in place of an answer stands in "told"; "beyond" is as `Answer` says.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

from benchmarks.api import Answer, JudgedBenchmark, Message, Question, no_answer
from benchmarks.thoughts import MARK, OPENED, thoughts_and_answer
from harness.common.cost import Cost, TextSize
from harness.common.files import write_json_lines
from harness.common.underway import news
from harness.endpoints.replies import EndpointReply
from harness.evaluate import questions, registry
from harness.evaluate.judges import endpoint_replies, fail_over_limit
from harness.models.decoding.decoder import Decoder
from harness.models.prepare import WORLD
from harness.signals.rollouts import LONGEST, answering_cost
from harness.store.step import Part, Ref, Sizes, Source, Step, StepKind, Work
from harness.store.step_record import FLATTENED, optional
from harness.suite.benchmarks import Control

if TYPE_CHECKING:
    from harness.common.tokenizer import Tokenizer

# What a judge should give nothing for: a fixed text, no text, the question itself.
CONTROLS: dict[Control, Callable[[str], str]] = {
    "constant": lambda question: "I am happy to help. Here is a detailed and accurate answer.",
    "empty": lambda question: "",
    # An echo of the question is fluent and on topic: a judge that pays for it reads no answers.
    "copy": lambda question: question,
}
UNTOLD = ("finish_reasons", "limits", "thoughts", "told", "beyond")  # left out where there are none


class TurnAnswer(NamedTuple):
    """A turn's text, its tokens, whether it was cut, and what else is said of it (see `Answer`)."""

    text: str
    tokens: int
    truncated: bool
    finish_reason: str = ""
    limit: int = 0
    thoughts: str = ""
    told: str = ""
    beyond: bool = False

    @property
    def missing(self) -> bool:
        """Whether a server gave none: a conversation that lacks an answer has no next turn."""
        return bool(self.finish_reason and no_answer(self.text, self.finish_reason))


@dataclass(frozen=True)
class ModelAnswers:
    """How a checkpoint answers: template None is the tokenizer's own. thinks: it knows of thoughts, and they
    are taken out; decoder: what computes the answers.
    """

    template: str | None
    seed: int
    thinks: bool = optional(False)
    decoder: Decoder = field(default=Decoder(), metadata=FLATTENED)


@dataclass(frozen=True)
class AnswerSettings:
    """Which benchmark, who answers (one of the next four), and what of the benchmark's own settings decides
    which questions are asked and how.
    """

    benchmark: str
    model: ModelAnswers | None = field(default=None, metadata=FLATTENED)
    endpoint: Mapping[str, Any] | None = optional()
    control: Control | None = optional()
    answers: str | None = optional()
    options: Mapping[str, Any] = field(default_factory=dict, metadata=FLATTENED)


@dataclass(frozen=True)
class AnswerInputs(Generic[Ref]):
    """data: the benchmark's folder."""

    data: Ref
    model: Ref | None = None


AnswerWork = Work[AnswerSettings, AnswerInputs[Path]]


def run_model(work: AnswerWork) -> dict[str, Any]:
    """The step: a model answers every question, turn by turn, its own earlier answers in the prompt."""
    from harness.common.tokenizer import load_config, load_tokenizer
    from harness.data import chat_template
    from harness.models import positions
    from harness.models.decoding.rows import Request
    from harness.signals import answering

    assert work.inputs.model and work.settings.model
    how, tokenizer = work.settings.model, load_tokenizer(work.inputs.model)
    template, seen = how.template, positions.learned(load_config(work.inputs.model)) or positions.FAR
    loaded, benchmark = _loaded(work)
    asked = chat_template.render(
        tokenizer, chat_template.PROBE[:1], template=template, add_generation_prompt=True
    )
    # Of thoughts that the prompt opens and the limit cuts, nothing else tells that they are no answer.
    opened = OPENED.search(asked)
    before = opened[0] if opened and not _keeps(work) else ""

    def answer(conversations: Sequence[tuple[Question, list[Message]]], turn: int) -> list[TurnAnswer]:
        requests = [
            Request(
                chat_template.encode_prompt(tokenizer, conversation, template=template),
                benchmark.sampling(q),
                # The name seeds the noise of a sampled answer, so that it does not depend on its batch.
                f"{q.id}/{turn}",
            )
            for q, conversation in conversations
        ]
        drawn = model.answers(requests)
        texts = [before + decoded(tokenizer, a.ids).strip() for a in drawn]
        return [
            # The last token of an answer is never read.
            TurnAnswer(text, len(a.ids), a.truncated, beyond=len(r.prompt) + len(a.ids) - 1 > seen)
            for r, text, a in zip(requests, texts, drawn, strict=True)
        ]

    asking = answering.Asked(tokenizer, template, how.seed)
    with (
        answering.opened(work, work.inputs.model, how.decoder, asking) as model,
        news.whole("answers", sum(len(q.turns) for q in loaded)),
    ):
        return _answer_all(work, answer) | model.told()


def decoded(tokenizer: "Tokenizer", ids: Sequence[int]) -> str:
    """The text of an answer without special tokens but those that mark thoughts, which tell them apart."""
    special = set(tokenizer.all_special_ids)
    marks = {i for i in special.intersection(ids) if MARK.fullmatch(tokenizer.convert_ids_to_tokens(i))}
    if not marks:
        return str(tokenizer.decode(ids, skip_special_tokens=True))
    return str(tokenizer.decode([i for i in ids if i in marks or i not in special]))


def run_endpoint(work: AnswerWork) -> dict[str, Any]:
    """The step: an OpenAI-compatible endpoint answers every question; what it has answered is never asked
    again.
    """
    loaded, benchmark = _loaded(work)
    assert work.settings.endpoint
    ask, replies = endpoint_replies(work.settings.endpoint, work.context), list[EndpointReply]()

    def answer(conversations: Sequence[tuple[Question, list[Message]]], turn: int) -> list[TurnAnswer]:
        answered = ask([(tuple(c), benchmark.sampling(q), 0) for q, c in conversations])
        replies.extend(answered)
        return [_of_server(reply) for reply in answered]

    with news.whole("calls", sum(len(q.turns) for q in loaded)):
        measured = _answer_all(work, answer)
    return measured | {
        "calls": len(replies),
        "prompt_tokens": sum(g.prompt_tokens for g in replies),
        "completion_tokens": sum(g.completion_tokens for g in replies),
        "lowered": sum(bool(g.lowered_to) for g in replies),
        "served": sorted({g.served_by for g in replies}),
    }


def _of_server(g: EndpointReply) -> TurnAnswer:
    text, cut = g.text.strip(), g.finish_reason == "length"
    return TurnAnswer(text, g.completion_tokens, cut, g.finish_reason, g.lowered_to, told=g.told)


def run_control(work: AnswerWork) -> dict[str, Any]:
    """The step: a control's answers."""
    assert work.settings.control
    write = CONTROLS[work.settings.control]
    return _answer_all(work, lambda asked, n: [TurnAnswer(write(q.turns[n]), 0, False) for q, _ in asked])


def run_stored(work: AnswerWork) -> dict[str, Any]:
    """The step: answers that lie in the benchmark's data, of a named model or of its authors' baseline."""
    settings, (loaded, _) = work.settings, _loaded(work)
    assert settings.answers
    declared = registry.declared(settings.benchmark, work.context.get("benchmark_file"))
    answers = questions.stored(declared, work.inputs.data, settings.options, settings.answers, loaded)
    if _keeps(work):
        return _write(work, answers)
    split = [[*zip(*map(thoughts_and_answer, a.turns), strict=True)] for a in answers]
    answers = [
        replace(a, turns=turns, thoughts=thoughts) if any(thoughts) else a
        for a, (thoughts, turns) in zip(answers, split, strict=True)
    ]
    return _write(work, answers)


def _loaded(work: AnswerWork) -> tuple[list[Question], JudgedBenchmark]:
    declared = registry.declared(work.settings.benchmark, work.context.get("benchmark_file"))
    return questions.load(declared, work.inputs.data, work.settings.options)


def _keeps(work: AnswerWork) -> bool:
    return work.settings.options.get("thoughts") == "keep"


def _answered(work: AnswerWork, turn: TurnAnswer) -> TurnAnswer:
    """The turn without what its model thought, unless that is to be kept."""
    thoughts, text = ("", turn.text) if _keeps(work) else thoughts_and_answer(turn.text)
    return turn._replace(text=text, thoughts=thoughts)


def _answer_all(
    work: AnswerWork, answer: Callable[[Sequence[tuple[Question, list[Message]]], int], Sequence[TurnAnswer]]
) -> dict[str, Any]:
    """Ask every question's turns in order; `answer` is given those that have a turn of that number."""
    loaded, _ = _loaded(work)
    so_far: dict[str, list[TurnAnswer]] = {q.id: [] for q in loaded}
    # Turn by turn, not question by question: a whole turn is decoded together.
    for turn in range(max(len(q.turns) for q in loaded)):
        of_turn = [q for q in loaded if len(q.turns) > turn]
        going = [(q, _conversation(q, so_far[q.id])) for q in of_turn if not _ended(so_far[q.id])]
        given = (_answered(work, one) for one in (answer(going, turn) if going else ()))
        for q in of_turn:
            turns = so_far[q.id]
            turns.append(TurnAnswer("", 0, False, turns[-1].finish_reason) if _ended(turns) else next(given))
    answers = []
    for q in loaded:
        texts, tokens, truncated, *more = zip(*so_far[q.id], strict=True)
        # Where no server answers, and nobody thought, there is nothing to tell.
        told = (values if any(values) else () for values in more)
        answers.append(Answer(q.id, texts, tokens, truncated, *told))
    missing = Counter(why for a in answers if (why := a.missing(len(a.turns))))
    words = next((said for a in answers for said in a.told if said), "")
    fail_over_limit(missing, len(answers), "answers", work.context, words)
    return _write(work, answers) | ({"missing": missing} if missing else {})


def _ended(turns: Sequence[TurnAnswer]) -> bool:
    return bool(turns) and turns[-1].missing


def _conversation(question: Question, earlier: Sequence[TurnAnswer]) -> list[Message]:
    """The question's turns so far, with the answers given to all but the last."""
    messages: list[Message] = []
    for turn, answered in zip(question.turns, earlier, strict=False):
        messages += [Message(role="user", content=turn), Message(role="assistant", content=answered.text)]
    return [*messages, Message(role="user", content=question.turns[len(earlier)])]


def _write(work: AnswerWork, answers: Sequence[Answer]) -> dict[str, Any]:
    rows = ({k: v for k, v in asdict(a).items() if v or k not in UNTOLD} for a in answers)
    write_json_lines(work.out / "answers.jsonl", rows)
    return {
        "answers": len(answers),
        "truncated": sum(any(a.truncated) for a in answers),
        "thoughts": sum(any(a.thoughts) for a in answers),
        "refused": sum(bool(a.missing(len(a.turns))) for a in answers),  # or filtered, or empty
        # A model's own empty turn is an answer, and judged: small models give many.
        "empty": sum(not all(a.turns) and not a.missing(len(a.turns)) for a in answers),
    }


def _cost(step: Step[AnswerSettings, AnswerInputs[Source]], sizes: Sizes) -> Cost:
    """Answers as long as the benchmark allows; those of an endpoint or a file take nothing of a device."""
    settings, inputs, world = step.settings, step.inputs, sizes.world
    if inputs.model is None:
        return Cost(assumed=("answers from elsewhere take nothing here",))
    declared = registry.declared(settings.benchmark, step.context.get("benchmark_file"))
    known, prompt, count = declared.sizes, declared.sizes.prompt, declared.sizes.questions
    notes = [f"questions of {declared.name}: {count}"]
    if world and isinstance(inputs.data, Part) and inputs.data.step.kind == WORLD:
        count, prompt, notes = world.questions_in(inputs.data.folder), sizes.typical("world")["prompt"], []
    # Every turn is an answer of its own, with the earlier ones in its prompt.
    count = min(count, settings.options["limit"] or count) * known.turns
    most = settings.options["max_tokens"] or known.max_tokens
    notes += [f"prompts of {prompt} tokens", LONGEST]
    text = TextSize(count, count * (prompt + most), count * most, tuple(notes))
    assert settings.model, "which says how the checkpoint answers"
    decoder, model = settings.model.decoder, sizes.model(inputs.model)
    return answering_cost(decoder, model, text, most, sizes, 4.0 * text.answered)


def _kind(run: str, version: int) -> StepKind[AnswerSettings, AnswerInputs[Source]]:
    run = f"harness.evaluate.answers:{run}"
    return StepKind("answers", AnswerSettings, AnswerInputs, run, version, True, "workers", True, _cost)


# One kind for the store, whoever answers.
BY_MODEL, BY_ENDPOINT = _kind("run_model", 3), _kind("run_endpoint", 2)
BY_CONTROL, STORED = _kind("run_control", 2), _kind("run_stored", 2)
