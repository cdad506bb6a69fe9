"""What a model's folder says of itself, looked through."""

from pathlib import Path

import pytest

from harness.common.input.model_files import end_ids


@pytest.mark.parametrize(("given", "ids"), [(None, []), (3, [3]), ([3, 0], [3, 0]), ([], []), ([None], [])])
def test_end_tokens_are_one_id_or_several(given: object, ids: list[int]) -> None:
    assert end_ids(Path("config.json"), given) == ids


@pytest.mark.parametrize("given", ["x", -1, 1.5, True, {}, [3, {}], [[3]]])
def test_what_is_no_id_is_refused_with_its_file(given: object) -> None:
    with pytest.raises(ValueError, match=r"^m/config\.json: eos_token_id: given .*; the id of a token"):
        end_ids(Path("m/config.json"), given)
