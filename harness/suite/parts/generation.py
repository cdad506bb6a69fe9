"""What models are asked before training: responses to prompts, and which of two is better."""

from string import Formatter
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from benchmarks.declaration import MOST_TOKENS
from harness.common.text import cut
from harness.models.decoding.decoder import LEAST_TEMPERATURE, Decoder, DecodingDtype, DecodingEngine
from harness.suite.validation import ServerArguments, Strict, Temperature


class Generation(Strict):
    """How the models answer the training prompts; and what computes these answers, those to held-out prompts
    and those to benchmarks' questions.
    """

    max_tokens: int = Field(512, gt=0, le=MOST_TOKENS)
    """The most tokens of a response."""
    temperature: Temperature | None = None
    """Of all methods' responses; each method's own, if absent. 0 is greedy."""
    engine: DecodingEngine = "own"
    """What computes responses and answers: this program, or a server of vLLM that a step starts."""
    dtype: DecodingDtype = "float32"
    """What the weights of the answering model are computed in."""
    arguments: ServerArguments = ()
    """Further words of `vllm serve`; with `engine: vllm` alone."""

    @property
    def decoder(self) -> Decoder:
        """What computes answers, as a part of their identity."""
        return Decoder(self.engine, self.dtype, self.arguments)

    @model_validator(mode="after")
    def _said_to_the_engine(self) -> "Generation":
        if self.arguments and self.engine != "vllm":
            raise ValueError(f"arguments: given {list(self.arguments)}; only engine: vllm has them")
        if self.engine == "vllm" and 0 < (self.temperature or 0) < LEAST_TEMPERATURE:
            allowed = f"engine: vllm takes 0, or {LEAST_TEMPERATURE} and more"
            raise ValueError(f"temperature: given {self.temperature}; {allowed}")
        return self


SHOWN = ("question", "a", "b")


def _asks(form: str) -> str:
    """A form with all that a question shows, and nothing else in braces: a width may have no end."""
    try:
        parts = [part for part in Formatter().parse(form) if part[1] is not None]
    except ValueError as e:
        raise ValueError(f"given {cut(repr(form))}; braces of the text itself are doubled, {e!r}") from None
    for _, name, width, conversion in parts:
        if name not in SHOWN or width or conversion:
            allowed = ", ".join(f"{{{one}}}" for one in SHOWN)
            told = f"braces of the text itself are doubled, and others hold {allowed} alone"
            raise ValueError(f"given {cut(repr(form))}; {told}")
    if missing := [name for name in SHOWN if name not in [part[1] for part in parts]]:
        raise ValueError(f"given {cut(repr(form))}; it lacks {', '.join(f'{{{name}}}' for name in missing)}")
    return form


def _unlike(options: tuple[str, str]) -> tuple[str, str]:
    """Two answers that can be told apart."""
    if not all(option.strip() for option in options) or options[0].strip() == options[1].strip():
        raise ValueError(f"given {list(options)}; two answers that differ, such as [A, B]")
    return options


class Probe(Strict):
    """How the teacher is asked which of two responses is better, by methods that ask it (PAD)."""

    question: Annotated[str, AfterValidator(_asks)] = (
        "Which of two responses to an instruction is better? Answer with one letter, A or B.\n\n"
        "Instruction:\n{question}\n\nResponse A:\n{a}\n\nResponse B:\n{b}\n\nThe better response is:"
    )
    """The question, with `{question}`, `{a}` and `{b}` in it."""
    options: Annotated[tuple[str, str], AfterValidator(_unlike)] = ("A", "B")
    """The two answers; they begin with different tokens."""
    max_tokens: int = Field(2500, gt=0, le=MOST_TOKENS)
    """So many tokens of a response are shown."""
