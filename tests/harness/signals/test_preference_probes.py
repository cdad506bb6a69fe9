"""The teacher's A-or-B probes, against the model's own probabilities asked one by one."""

import json
from itertools import permutations
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.common.tokenizer import load_tokenizer
from harness.data import token_sequences
from harness.data.chat_template import encode_prompt
from harness.models.loading import load
from harness.signals import preference_probes
from harness.signals.kinds import PROBES
from harness.signals.preference_probes import Probe
from harness.store.array_file import ArrayFile
from tests.harness.models.tiny_models import TEMPLATE, VOCAB, tiny_folder

ANSWERS = {0: ["a b", "c", "d e f"], 3: ["g", "h h h h", "i j"]}
SETTINGS = {
    "question": "q {question} x {a} y {b}",
    "options": ("k", "m"),
    "max_tokens": 3,
    "template": None,
    "dtype": "float32",
}


# An assistant turn that opens with a block or a channel, which the generation prompt leaves to the model.
OPENED = TEMPLATE.replace(
    "<{{ m.role }}> {{ m.content }}", "<{{ m.role }}> {{ 'y z ' if m.role == 'assistant' }}{{ m.content }}"
)


def run_in(folder: Path, **settings: Any) -> dict[str, Any]:
    """What a run of the step measures; its teacher and its output lie in the folder."""
    teacher = tiny_folder(folder / "teacher")
    tokenizer = load_tokenizer(teacher)
    (folder / "pairs").mkdir()
    prompt = [
        {"role": "user", "content": "n"},
        {"role": "assistant", "content": "o"},
        {"role": "user", "content": "p"},
    ]
    (folder / "pairs" / "prompts.jsonl").write_text(
        "".join(json.dumps({"row": row, "prompt": prompt}) + "\n" for row in ANSWERS)
    )
    end = tokenizer.eos_token_id
    token_sequences.write(
        folder / "group",
        (
            token_sequences.response(row, [1, 5], [*tokenizer.encode(text, add_special_tokens=False), end])
            for row, texts in ANSWERS.items()
            for text in texts
        ),
    )
    (folder / "out").mkdir()
    inputs = {"model": teacher, "group": folder / "group", "pairs": folder / "pairs"}
    context = {"device": "cpu", "tokens": 64}
    work = PROBES.work(SETTINGS | settings, inputs, folder / "out", context)
    return preference_probes.run(work)


@pytest.fixture(scope="module", params=[(None, ""), (OPENED, "y z")], ids=["plain", "opened"])
def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str | None, str, dict[str, Any]]:
    """A run's folder, its template, what that opens an answer with, and what was measured."""
    folder = tmp_path_factory.mktemp("probes")
    template, opening = request.param
    return folder, template, opening, run_in(folder, template=template)


def test_a_score_is_the_log_of_the_mean_choice_over_both_orders(
    asked: tuple[Path, str | None, str, dict[str, Any]],
) -> None:
    """Every ordered pair is asked through the model's own forward, one at a time; what the template opens an
    answer with stands before the letter.
    """
    folder, template, opening, measured = asked
    model, tokenizer = load(folder / "teacher"), load_tokenizer(folder / "teacher")
    first, second = (tokenizer.convert_tokens_to_ids(letter) for letter in SETTINGS["options"])
    expected, masses = [], []
    for texts in ANSWERS.values():
        shown = [" ".join(t.split()[:3]) for t in texts]
        won: dict[int, list[float]] = {i: [] for i in range(3)}
        for i, j in permutations(range(3), 2):
            conversation = [
                {"role": "user", "content": "n"},
                {"role": "assistant", "content": "o"},
                {"role": "user", "content": f"q p x {shown[i]} y {shown[j]}"},
            ]
            ids = encode_prompt(tokenizer, conversation, template=template)
            ids += tokenizer.convert_tokens_to_ids(opening.split())
            with torch.no_grad():
                p = model(torch.tensor([ids])).logits[0, -1].double().softmax(-1)
            won[i].append(float(p[first]))
            won[j].append(float(p[second]))
            masses.append(float(p[first] + p[second]))
        expected += [log(sum(ps) / len(ps)) for ps in won.values()]

    found = ArrayFile(folder / "out", "scores").all()
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert measured["probes"] == 12
    assert measured["letter_mass"] == pytest.approx(sum(masses) / len(masses), rel=1e-4)


def test_a_batch_that_does_not_fit_is_asked_in_halves_and_counted(
    asked: tuple[Path, str | None, str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of twelve questions a device has room for two at once; for none the line names the suite's key."""
    model = load(asked[0] / "teacher")
    probes = [Probe([5, 6, 7, 8 + n], 0, 1, [9, 10]) for n in range(12)]
    whole, compute = preference_probes.letter_probs(model, VOCAB, probes, 1000), preference_probes.body

    def room_for(most: int) -> None:
        def on_small_device(model: Any, inputs: torch.Tensor) -> Any:
            if len(inputs) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 24.50 GiB")
            return compute(model, inputs)

        monkeypatch.setattr(preference_probes, "body", on_small_device)

    room_for(2)
    found = preference_probes.letter_probs(model, VOCAB, probes, 1000)
    np.testing.assert_allclose(found[0], whole[0], rtol=1e-5)
    assert (whole[1], found[1]) == (0, 7)  # 12 = 6 + 6, each 3 + 3, each 2 + 1
    assert asked[3]["halved"] == 0
    room_for(0)
    with pytest.raises(ValueError, match="one request alone: set teacher_dtype: bfloat16, which takes half"):
        preference_probes.letter_probs(model, VOCAB, probes, 1000)


def test_a_response_over_the_limit_is_cut_and_counted(
    asked: tuple[Path, str | None, str, dict[str, Any]],
) -> None:
    """Tokens with the end of turn: 3, 2, 4 and 2, 5, 3; the limit is 3."""
    assert asked[3]["cut"] == 2


@pytest.mark.parametrize("template", [None, OPENED])
@pytest.mark.parametrize(
    ("options", "token"), [(("k", "k m"), "k"), (("k", "k"), "k"), (("A", "B"), "<unk>"), (("k", "k "), "k")]
)
def test_options_that_begin_with_the_same_token_are_refused_by_name(
    tmp_path: Path, template: str | None, options: tuple[str, str], token: str
) -> None:
    with pytest.raises(ValueError) as refused:
        run_in(tmp_path, options=options, template=template)
    assert f"probe.options: {options[0]!r} and {options[1]!r} begin with the same token {token!r}" in str(
        refused.value
    )
