"""What a model's folder says of itself, looked through."""

import json
from pathlib import Path

import pytest

from harness.common.input.model_files import check, end_ids, reading


@pytest.mark.parametrize(("given", "ids"), [(None, []), (3, [3]), ([3, 0], [3, 0]), ([], []), ([None], [])])
def test_end_tokens_are_one_id_or_several(given: object, ids: list[int]) -> None:
    assert end_ids(Path("config.json"), given) == ids


@pytest.mark.parametrize("given", ["x", -1, 1.5, True, {}, [3, {}], [[3]]])
def test_what_is_no_id_is_refused_with_its_file(given: object) -> None:
    with pytest.raises(ValueError, match=r"^m/config\.json: eos_token_id: given .*; the id of a token"):
        end_ids(Path("m/config.json"), given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps: given nan; a number from 0"),
        ({"rms_norm_eps": 1e300}, "rms_norm_eps: given 1e"),
        ({"rope_theta": "x"}, "rope_theta: given 'x'; a number from 1e-06"),
        ({"rope_scaling": {"type": "linear", "factor": -2}}, "factor: given -2; a number from 1e-06"),
        ({"rope_parameters": {"full": {"rope_theta": 0}}}, "rope_theta: given 0; a number from 1e-06"),
        ({"logit_scale": float("nan")}, "logit_scale: given nan; a number"),
        ({"architectures": [3]}, r"architectures: given \[3\]; a list of names"),
        ({"text_config": "x"}, "text_config: given 'x'; a mapping"),
    ],
)
def test_a_number_with_which_a_model_says_nothing_is_told_with_its_key(
    given: dict[str, object], told: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **given}))
    with pytest.raises(ValueError, match=f"config.json: {told}"):
        check(tmp_path)


def test_an_infinite_limit_that_configs_have_is_none_of_these(tmp_path: Path) -> None:
    """Mamba 2 says `time_step_limit: [0, Infinity]`."""
    about = {"model_type": "mamba2", "time_step_limit": [0.0, float("inf")], "rope_theta": None}
    (tmp_path / "config.json").write_text(json.dumps(about))
    check(tmp_path)


def test_the_file_is_named_that_cannot_be_read_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')

    def fails() -> None:
        raise KeyError("x")

    for others, name in (({"a.json": fails, "b.json": lambda: None}, "a.json"), ({}, "config.json")):
        with pytest.raises(ValueError, match=name), reading(tmp_path, "config.json", others):
            raise RuntimeError("broken")


@pytest.mark.parametrize("name", ["added_tokens.json", "special_tokens_map.json", "generation_config.json"])
def test_a_file_beside_that_is_no_mapping_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / name).write_text("null")
    with pytest.raises(ValueError, match=rf"{name}: given None; a mapping"):
        check(tmp_path)
