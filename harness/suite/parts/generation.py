"""What models are asked before training: responses to prompts, and which of two is better."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from harness.models.decoding.decoder import LEAST_TEMPERATURE, Decoder, DecodingDtype, DecodingEngine
from harness.suite.validation import ServerArguments, Strict


class Generation(Strict):
    """How the models answer the training prompts; and what computes these answers, those to held-out prompts
    and those to benchmarks' questions.
    """

    max_tokens: int = Field(512, gt=0)
    """The most tokens of a response."""
    temperature: float | None = Field(None, ge=0)
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


def _asks(form: str) -> str:
    """A form with all that a question shows, and nothing else in braces."""
    shown = {"question": "\U0010f0a0", "a": "\U0010f0a1", "b": "\U0010f0a2"}  # of private use
    try:
        text = form.format(**shown)
    except (LookupError, ValueError, AttributeError) as e:
        raise ValueError(f"given {form!r}; braces of the text itself are doubled, {e!r}") from None
    if missing := [name for name, mark in shown.items() if mark not in text]:
        raise ValueError(f"given {form!r}; it lacks {', '.join(f'{{{name}}}' for name in missing)}")
    return form


class Probe(Strict):
    """How the teacher is asked which of two responses is better, by methods that ask it (PAD)."""

    question: Annotated[str, AfterValidator(_asks)] = (
        "Which of two responses to an instruction is better? Answer with one letter, A or B.\n\n"
        "Instruction:\n{question}\n\nResponse A:\n{a}\n\nResponse B:\n{b}\n\nThe better response is:"
    )
    """The question, with `{question}`, `{a}` and `{b}` in it."""
    options: tuple[str, str] = ("A", "B")
    """The two answers; they begin with different tokens."""
    max_tokens: int = Field(2500, gt=0)
    """So many tokens of a response are shown."""
