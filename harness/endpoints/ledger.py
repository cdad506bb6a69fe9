"""What a run has asked of endpoints, and what it may still ask."""

from collections import Counter

from harness.endpoints.prices import Price, Prices, Usage, usd

BYTES_A_TOKEN = 3  # fewer than in English or Chinese text, so that a prompt is not underestimated
TOKENS_AROUND = 16  # what a chat template adds to a prompt


class BudgetSpent(ValueError):
    """The next call could pass what the run may spend."""


class Ledger:
    """Counts calls, tokens and money, and stops before a limit is passed, calls under way included.

    `calls` are requests, failed ones too; `kept` are calls that took none; `lowered` are replies that got
    less room than was asked for, since a server's context has no more. `unknown` is what requests may
    have cost, USD at most, that broke off before the server said what they took; the limit covers it too.
    """

    def __init__(self, prices: Prices, max_cost: float | None = None, max_calls: int | None = None) -> None:
        if max_cost is not None and not max_cost >= 0:  # NaN is not, and would never be passed
            raise ValueError(f"--max-cost {max_cost}: must be 0 or more, in USD")
        self.prices, self.max_cost, self.max_calls = prices, max_cost, max_calls
        self.calls = self.kept = self.lowered = 0
        self.spent = self.unknown = 0.0  # USD
        self.usage: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()  # by reason
        self.refused: Counter[str] = Counter()  # prompts without an answer, by why
        self.first_words = ""  # of a server on the first of them
        self.unpriced: set[str] = set()  # models that were asked, of whom no price is known
        self._under_way: list[float] = []  # USD at most, of each

    def free(self, model: str) -> None:
        """A model that is served here costs nothing but its time."""
        self.prices = {**self.prices, model: Price(0.0, 0.0)}

    def money_line(self, model: str) -> str:
        """What was spent so far, where calls to this model cost money."""
        if (price := self.prices.get(model)) is None:
            return "price not known"
        return f"{self.spent:.3f} USD spent" if price.input or price.output else ""

    def summary_line(self) -> str:
        """One line: calls, replies that were kept before, tokens, money, and what was asked again."""
        again = ", ".join(f"{reason} {count}" for reason, count in sorted(self.retries.items()))
        unknown = f" and up to {self.unknown:.2f} in requests that broke off" if self.unknown else ""
        tokens = f"{self.usage['prompt_tokens']:,} tokens in, {self.usage['completion_tokens']:,} out"
        money = f"{self.spent:.2f} USD{unknown}"
        if self.unpriced:
            models = ", ".join(sorted(self.unpriced))
            lacking = f"no price of {models} is known (--prices FILE)"
            money = f"{money} and what has no price: {lacking}" if self.spent or self.unknown else lacking
        spent = f"{self.calls} calls ({self.kept} kept from before), {tokens}, {money}"
        context = f"; max_tokens lowered to what the context leaves: {self.lowered}" if self.lowered else ""
        refused = "; without an answer: " if self.refused else ""
        refused += ", ".join(f"{why} {count}" for why, count in sorted(self.refused.items()))
        words = f" (the first: {self.first_words})" if self.first_words else ""
        return f"{spent}; failed on the way: {again or 'none'}{context}{refused}{words}"

    def count_refused(self, why: str, words: str) -> None:
        """Count a prompt that there is no answer to, and keep what was said of the first."""
        self.refused[why] += 1
        self.first_words = self.first_words or words

    def admit(self, model: str) -> None:
        """ValueError if there is a limit in money, and no price of this model."""
        if self.max_cost is not None and model not in self.prices:
            raise ValueError(
                f"--max-cost: no price of {model} is known; give one with --prices FILE "
                f"({model}: {{input: USD, output: USD}} per million tokens, 0 for a server of your own)"
            )

    def may_fit_later(self, model: str, prompt_bytes: int, max_tokens: int) -> bool:
        """Whether a call is too much now, and need not be once calls under way took less than they could."""
        if self.max_cost is None or not self._under_way:
            return False
        most = self._most(model, prompt_bytes, max_tokens)
        without = self.spent + self.unknown + most
        return without <= self.max_cost < without + sum(self._under_way)

    def begin(self, model: str, prompt_bytes: int, max_tokens: int) -> float:
        """Count a call that is about to be made; returns what it costs at most, in USD."""
        most = self._most(model, prompt_bytes, max_tokens)
        if self.max_calls is not None and self.calls >= self.max_calls:
            raise BudgetSpent(f"--max-calls {self.max_calls}: all made; {KEPT}")
        # Calls under way are counted at the most they can cost: together they must not pass the limit either.
        committed = self.spent + self.unknown + sum(self._under_way)
        if self.max_cost is not None and committed + most > self.max_cost:
            unknown = f" and up to {self.unknown:.2f} in requests that broke off" if self.unknown else ""
            raise BudgetSpent(
                f"--max-cost {self.max_cost:.2f}: {self.spent:.2f} USD spent{unknown} in {self.calls} calls, "
                f"and the next could cost {most:.2f}; {KEPT}"
            )
        self.calls += 1
        if model not in self.prices:
            self.unpriced.add(model)
        # At the most it can cost until it ends: a limit must hold even if every call under way is dear.
        self._under_way.append(most)
        return most

    def end(self, model: str, most: float, used: tuple[int, int] | None) -> None:
        """Count the tokens of prompt and reply that a call took, None where nobody said."""
        self._under_way.remove(most)
        if used is None:
            self.unknown += most
            return
        prompt_tokens, completion_tokens = used
        self.usage.update(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
        self.spent += usd(self.prices, model, Usage(1, prompt_tokens, completion_tokens)) or 0.0

    def _most(self, model: str, prompt_bytes: int, max_tokens: int) -> float:
        prompt_tokens = prompt_bytes // BYTES_A_TOKEN + TOKENS_AROUND
        return usd(self.prices, model, Usage(1, prompt_tokens, max_tokens)) or 0.0


KEPT = "what was answered is kept, and the same command with a larger limit goes on"
