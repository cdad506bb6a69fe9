"""What is measured of a trained row on its held-out pairs: rewards of three kinds, and its own objective."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmarks.declaration import (
    MOST_TOKENS,
    Benchmark,
    BenchmarkSettings,
    Column,
    FrozenModelSettings,
    Presentation,
)
from harness.common.files import read_json_lines
from harness.data.rewards import read_rewards, won
from harness.data.token_sequences import Sequences
from harness.store.array_file import ArrayFile
from harness.store.step import Part
from harness.suite.measurement import Chosen, Folders, MeasuredBenchmark, Measures, Row, Value

SIDES = ("chosen", "rejected")


class ImplicitRewardSettings(BenchmarkSettings):
    """Accuracy of log pi_theta - log pi_start on the held-out pairs."""


class TeacherRewardSettings(BenchmarkSettings):
    """log pi_dpo - log pi_ref, the teacher's implicit reward, of greedy answers to the held-out prompts."""

    max_tokens: int = Field(512, gt=0, le=MOST_TOKENS)
    """The most tokens of an answer."""


class RewardSettings(FrozenModelSettings):
    """The score that a reward model gives greedy answers to the held-out prompts; the data's own chosen
    responses are those of which the share that it beats is the win rate.
    """

    model: str = Field("sfairXC/FsfairX-LLaMA3-RM-v0.1", min_length=1)
    """The reward model, a folder or hub id."""
    max_tokens: int = Field(512, gt=0, le=MOST_TOKENS)
    """The most tokens of an answer."""

    def judged_by(self) -> str:
        return Path(self.model).name


class ObjectiveSettings(BenchmarkSettings):
    """Each method's own objective on the held-out pairs, before and after its last stage."""


def _implicit_reward_steps(row: Row, chosen: Chosen) -> Measures:
    """Log-probs of the held-out pairs under a row's model and under what it started from."""
    start, pairs = row.start, row.held_out
    models = {"policy": row.model, "start": start}
    return {"pairs": pairs} | {
        f"{role}.{side}": row.log_probs(model, f"validation {side}", Part(pairs, side))
        for role, model in models.items()
        for side in SIDES
    }


def _implicit_reward(chosen: Chosen, folders: Folders) -> Iterator[Value]:
    gained = _margin(folders, "policy") - _margin(folders, "start")
    for pair, value in enumerate(gained.tolist()):
        # A margin that did not move is half right: the sign of rounding noise is no preference.
        yield Value("accuracy", str(pair), float(value > 0) + 0.5 * float(value == 0))


def _margins(folders: Folders, maximised: str) -> Mapping[str, float]:
    return {
        "margin_before": float(_margin(folders, "start").mean()),
        "margin_after": float(_margin(folders, "policy").mean()),
    }


def _margin(folders: Folders, role: str) -> NDArray[np.float64]:
    """lp(y_w) - lp(y_l) of each held-out pair under a model, in nats. [n]"""
    winner, loser = (
        _summed_logps(folders[f"{role}.{side}"], Sequences(folders["pairs"] / side)) for side in SIDES
    )
    return winner - loser


def _summed_logps(folder: Path, sequences: Sequences) -> NDArray[np.float64]:
    """Log-prob of each response. [n]"""
    # In float64: margins are small differences of large sums.
    logps = ArrayFile(folder, "logps").all().astype(np.float64)
    return np.add.reduceat(logps, sequences.response_offsets[:-1])


def _teacher_reward_steps(row: Row, chosen: Chosen) -> Measures:
    """Greedy answers to the held-out prompts, and both teachers' log-probs of them."""
    responses, dtype = row.greedy(chosen.settings.max_tokens), row.teacher_dtype
    name = f"answers of {row.model.label}"
    return {
        "rollouts": responses,
        "teacher": row.log_probs(row.teacher, name, responses, dtype),
        "teacher_ref": row.log_probs(row.teacher_ref, name, responses, dtype),
    }


def _teacher_reward(chosen: Chosen, folders: Folders) -> Iterator[Value]:
    responses = Sequences(folders["rollouts"])
    rewards = _summed_logps(folders["teacher"], responses) - _summed_logps(folders["teacher_ref"], responses)
    truncated = ArrayFile(folders["rollouts"], "truncated").all().tolist()
    for i, row in enumerate(responses.rows.tolist()):
        tokens, cut = int(responses.response_lengths[i]), bool(truncated[i])
        # Length and truncation stand beside the reward: a longer answer has more tokens to gain on.
        for metric, value in (("reward", rewards[i]), ("length", tokens), ("truncated", cut)):
            yield Value(metric, str(row), float(value), tokens=tokens, truncated=cut)


def _reward_steps(row: Row, chosen: Chosen) -> Measures:
    """A reward model's scores of greedy answers and of the data's chosen responses, and those of the
    checkpoints on the way where one was selected.
    """
    model, dtype, key = chosen.settings.model, chosen.settings.dtype, f"benchmarks.{chosen.name}.model"
    responses = row.greedy(chosen.settings.max_tokens)
    return {
        "rewards": row.rewards(model, responses, responses.label, dtype, key),
        "reference": row.rewards(model, Part(row.held_out, "chosen"), "validation chosen", dtype, key),
        **row.selection_curve(),
    }


def _reward(chosen: Chosen, folders: Folders) -> Iterator[Value]:
    """Rewards and wins over the data's chosen responses: of the row's model with group "", and as
    `checkpoint_reward` and `checkpoint_win_rate` of each checkpoint, the group its optimizer step.
    """
    yield from _rewards(folders["rewards"], folders["reference"], "", "")
    if "selected" in folders:
        steps = json.loads((folders["selected"] / "selection.json").read_text())["steps"]
        for n, step in enumerate(steps, 1):
            yield from _rewards(folders[f"rewards.{n}"], folders["curve"], "checkpoint_", str(step))


def _rewards(folder: Path, reference: Path, prefix: str, group: str) -> Iterator[Value]:
    reference_rewards = read_rewards(reference)
    for row in read_json_lines(folder / "rewards.jsonl"):
        question, about = str(row["row"]), {"tokens": row["tokens"], "truncated": row["truncated"]}
        win = won(row["reward"], reference_rewards[row["row"]])
        yield Value(f"{prefix}reward", question, row["reward"], group, **about)
        # The chosen response to the same prompt is a bar that does not move between methods.
        yield Value(f"{prefix}win_rate", question, win, group, reference="chosen", **about)


def _objective_steps(row: Row, chosen: Chosen) -> Measures:
    """The method's own loss, with rollouts and signals of their own."""
    # Teacher and Student have no method of their own.
    step = row.objective()
    return {} if step is None else {"objective": step}


def _losses(folders: Folders, maximised: str) -> Mapping[str, float]:
    """The loss before and after, or the mean that the method raises."""
    if not folders:
        return {}
    objective = json.loads((folders["objective"] / "objective.json").read_text())
    if maximised:
        before, after = objective["watched"][maximised]
        return {"held_before": before, "held_after": after}
    return {"held_before": sum(objective["before"].values()), "held_after": sum(objective["after"].values())}


IMPLICIT_REWARD = MeasuredBenchmark(
    Benchmark(
        name="implicit-reward",
        settings=ImplicitRewardSettings,
        metric="accuracy",
        presentation=Presentation("Implicit reward", (Column("accuracy", "Reward accuracy (%)", "share"),)),
        any_model=False,
    ),
    _implicit_reward_steps,
    _implicit_reward,
    training=_margins,
)
TEACHER_REWARD = MeasuredBenchmark(
    Benchmark(
        name="teacher-reward",
        settings=TeacherRewardSettings,
        metric="reward",
        presentation=Presentation(
            "Teacher reward",
            (
                Column(
                    "reward",
                    "Teacher reward",
                    "nats",
                    note="sum over tokens of log pi_dpo - log pi_ref, nats",
                ),
                Column("length", "Length (tokens)", "tokens", best=False),
                Column("truncated", "Truncated (%)", "share", best=False),
            ),
        ),
        any_model=False,
    ),
    _teacher_reward_steps,
    _teacher_reward,
)
REWARD = MeasuredBenchmark(
    Benchmark(
        name="reward",
        settings=RewardSettings,
        metric="reward",
        presentation=Presentation(
            "Reward",
            (Column("reward", "Reward", "score"), Column("win_rate", "Reward WR (%)", "share")),
            checkpoint_metric="checkpoint_reward",
        ),
        any_model=False,
    ),
    _reward_steps,
    _reward,
)
OBJECTIVE = MeasuredBenchmark(
    Benchmark(
        name="objective",
        settings=ObjectiveSettings,
        metric="",
        presentation=Presentation("Objective"),
        any_model=False,
    ),
    _objective_steps,
    lambda chosen, folders: (),  # a number of a whole set: it stands in training.jsonl
    training=_losses,
)
