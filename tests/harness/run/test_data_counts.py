"""`--plan` says what becomes of the rows of data that lie here, as the steps will count them."""

import re
from pathlib import Path

import methods
from harness.executors.options import Machine
from harness.plan.plan import plan
from harness.store.step import Step
from tests import suites
from tests.bench_command import bench
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.models.tiny_models import tiny_folder

PAIR = {"prompt": "a b", "chosen": "c d", "rejected": "e"}
LONG = {"prompt": "a b", "chosen": "c d e f g h i j k l", "rejected": "e"}
SAME = {"prompt": "a b", "chosen": "c", "rejected": "c"}
CHAT = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
COUNTS = {  # of the table
    "Student": ("dropped,2.0", "truncated,1.0"),
    "DPO": ("dropped,1.0", "truncated,1.0"),
}


def suite(folder: Path, **keys: str) -> str:
    """A suite of two tiny models, with pairs and dialogues in files."""
    tiny_folder(folder / "teacher", hidden=8)
    tiny_folder(folder / "student", hidden=4, seed=1)
    write_rows(folder / "pairs.jsonl", [PAIR, LONG, SAME, *[PAIR] * 3])
    write_rows(folder / "sft.jsonl", [CHAT, {"messages": CHAT["messages"][:1]}])
    own = "".join(f"{key}: {value}\n" for key, value in keys.items())
    (folder / "suite.yaml").write_text(
        f"""name: counted
max_length: 12
pairs:
  tiny:
    teacher: {{base: {folder}/teacher}}
    student: {{base: {folder}/student, sft: {{epochs: 1, batch_size: 2}}}}
datasets:
  own:
    sft: {{path: {folder}/sft.jsonl}}
    preference: {{path: {folder}/pairs.jsonl}}
    validation: {{path: {folder}/pairs.jsonl, limit: 2}}
training: {{epochs: 1, batch_size: 4}}
methods: {{DPO: {{}}}}
benchmarks: {{implicit-reward: {{}}}}
{own}"""
    )
    return str(folder / "suite.yaml")


def steps(path: str) -> dict[str, Step]:
    return {s.label: s for s in plan(suites.load(path), methods.registry(), Machine()).steps}


def test_the_counts_of_a_plan_are_those_of_its_run_and_of_its_tables(tmp_path: Path) -> None:
    named, runs = suite(tmp_path, too_long="truncate_response"), ("--runs", str(tmp_path / "runs"))
    expected = [
        "train pairs: 6 rows read; 1 dropped: chosen == rejected; 1 truncated",
        "SFT dialogues: 2 rows read; 1 dropped: no assistant turn; 0 truncated",
    ]
    before = bench("run", named, "--plan", *runs)
    assert before.returncode == 0, before.stderr
    assert [line for line in expected if line not in before.stdout.splitlines()] == []

    done = bench("run", named, *runs)
    assert done.returncode == 0, done.stderr
    after = bench("run", named, "--plan", *runs)
    assert [line for line in expected if line not in after.stdout.splitlines()] == []
    table = (tmp_path / "runs" / "counted" / "tables" / "quality.csv").read_text()
    # The Student's own stage is the one that reads the dialogues.
    for row, counts in COUNTS.items():
        assert [count for count in counts if f"own,{row},rows_{count}" not in table] == []


def test_what_becomes_of_long_rows_is_part_of_an_id_only_where_it_is_not_dropping(tmp_path: Path) -> None:
    path = suite(tmp_path)
    dropped = steps(path)["train pairs"]
    assert "too_long" not in dropped.settings_record and "beside" not in dropped.settings_record
    (tmp_path / "suite.yaml").write_text(
        (tmp_path / "suite.yaml").read_text() + "too_long: truncate_prompt\n"
    )
    assert steps(path)["train pairs"].id != dropped.id


def test_a_system_column_is_part_of_an_id(tmp_path: Path) -> None:
    path = suite(tmp_path)
    write_rows(tmp_path / "pairs.jsonl", [PAIR, {**PAIR, "system": "z"}])
    assert steps(path)["train pairs"].settings_record["beside"] == ["system"]


def test_an_unknown_way_with_long_rows_is_one_line(tmp_path: Path) -> None:
    told = bench("run", suite(tmp_path, too_long="truncate"), "--plan")
    assert told.returncode == 2
    assert re.search(
        r"too_long: given 'truncate'; .*'drop', 'truncate_response' or 'truncate_prompt'", told.stderr
    )
