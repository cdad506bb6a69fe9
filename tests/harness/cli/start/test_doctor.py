"""`bench doctor`: what is here and what will not run, with its remedy; exit code 0 whatever it finds."""

import json
from pathlib import Path
from typing import Any

from harness.cli.start import doctor
from tests.bench_command import bench


def findings(*words: str, **env: str) -> dict[str, dict[str, Any]]:
    done = bench("doctor", "--json", *words, **env)
    assert done.returncode == 0, done.stderr
    return {f"{f['part']} {f['name']}": f for f in json.loads(done.stdout)}


def test_a_bare_machine_is_told_what_will_not_run_and_how_to_mend_it(tmp_path: Path) -> None:
    bare = {"BENCH_DATA": str(tmp_path), "OPENAI_API_KEY": "", "HF_TOKEN": "", "HF_HOME": str(tmp_path)}
    found = findings("--runs", str(tmp_path / "not" / "there"), **bare)
    assert found["benchmark data mt-bench"]["mend"].startswith("bench data fetch mt-bench")
    assert "export OPENAI_API_KEY" in found["keys OPENAI_API_KEY"]["mend"]
    assert found["network hub"]["found"] == "not asked (HF_HUB_OFFLINE)"
    assert found["disk runs"]["found"].endswith(f"free at {tmp_path}")
    assert all(f["ok"] == (not f["mend"]) for f in found.values())


def test_what_is_there_is_ok_and_no_key_is_printed(tmp_path: Path) -> None:
    for name in ("question.jsonl", "judge_prompts.jsonl", "reference_answer_gpt-4.jsonl"):
        (tmp_path / "mt-bench").mkdir(exist_ok=True)
        (tmp_path / "mt-bench" / name).write_text("{}")
    here = {"BENCH_DATA": str(tmp_path), "OPENAI_API_KEY": "sk-secret-71", "HF_TOKEN": "hf_secret_72"}
    found = findings(**here)
    for name in ("keys OPENAI_API_KEY", "keys hub token", "versions torch", "benchmark data mt-bench"):
        assert found[name]["ok"], found[name]
    assert "other content than upstream's" in found["benchmark data mt-bench"]["found"]
    assert "secret" not in json.dumps(found)


def test_people_read_a_line_each() -> None:
    done = bench("doctor")
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    wrong = sum("  will not run  " in line for line in lines)
    assert last.startswith(f"{len(lines) - wrong} of {len(lines)} ok; ")


def test_a_library_that_is_too_old_or_not_there_says_what_to_install() -> None:
    assert doctor._library("versions", "typer", "typer>=999").mend == "pip install 'typer>=999'"
    assert doctor._library("versions", "no-such-thing", "no-such-thing>=1").found == "not installed"


def test_an_extra_is_what_it_adds() -> None:
    assert doctor._needed("vllm>=0.18; extra == 'vllm'", "vllm") == "vllm"
    assert doctor._needed("vllm>=0.18; extra == 'vllm'", "") == ""
    assert doctor._needed("torch>=2.11", "") == "torch"
    assert doctor._needed("torch>=2.11", "vllm") == ""


def test_a_shell_completes_the_commands() -> None:
    asked = {"_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "bench doc", "COMP_CWORD": "1"}
    assert bench(**asked).stdout.split() == ["doctor"]
