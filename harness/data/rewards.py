"""What a reward model said of one answer to each prompt, read back.

rewards.jsonl {"row": 0, "reward": 0.73, "tokens": 41, "truncated": false, "cut": false}
"""

from pathlib import Path

from harness.common.files import read_json_lines


def read_rewards(folder: Path) -> dict[int, float | None]:
    """Row -> reward of a folder's answers, one to each row; None where it could not be had."""
    rows = read_json_lines(folder / "rewards.jsonl")
    rewards = {row["row"]: row["reward"] for row in rows}
    if len(rewards) < len(rows):
        raise ValueError(f"{folder}: {len(rows)} answers to {len(rewards)} rows; one to each is compared")
    return rewards


def won(ours: float | None, theirs: float | None) -> float | None:
    """1.0 where a reward is above the reference's, 0.5 where equal, else 0.0; None where one of them is."""
    if ours is None or theirs is None:
        return None
    return float(ours > theirs) + 0.5 * float(ours == theirs)
