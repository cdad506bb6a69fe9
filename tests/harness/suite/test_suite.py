"""Suites: strict YAML, one clear line for each fault."""

import csv
import errno
import math
from pathlib import Path

import pytest

import methods
from harness.common.text import same_on_some_disk
from harness.suite import loading
from harness.suite.validation import at_key
from methods.api import Training
from tests import suites
from tests.paths import TINY


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.lr=fast", "training.lr: given 'fast'; input should be a valid number"),
        ("training.lr=-1", "training.lr: given -1; input should be greater than 0"),
        ("trainin.lr=1", "trainin: unknown key; did you mean 'training'?"),
        ("pairs.tiny.teachr.base=x", "pairs.tiny.teachr: unknown key; did you mean 'teacher'?"),
        ("world.animls=8", "world.animls: unknown key; did you mean 'animals'?"),
        ("generation.max_length=8", "generation.max_length: unknown key; did you mean 'max_tokens'?"),
        ("generation.engine=vlm", "generation.engine: given 'vlm'; input should be 'own' or 'vllm'; did you"),
        ("generation.engine=vlm", "; did you mean 'vllm'?"),
        ("generation.arguments=[--x]", "generation: arguments: given ['--x']; only engine: vllm has them"),
        (
            "generation={engine: vllm, temperature: 0.001}",
            "generation: temperature: given 0.001; engine: vllm takes 0, or 0.01 and more",
        ),
        ("training.lora.targets=[]", "training.lora.targets: given []; input should be 'all-linear', or"),
        ("benchmarks.alpaca-eval.order=some", "benchmarks.alpaca-eval.order: given 'some'"),
        ("benchmarks.mt-bench.data=3", "benchmarks.mt-bench.data: given 3"),
        ("judges.rules.kind=[a]", "judges.rules.kind: no such judge ['a']"),
        ("benchmarks.mt-bench.like=[a]", "benchmarks.mt-bench"),
        ("name=a b", "name: given 'a b'"),
        ("lr", "--set lr: must be key=value"),
        ("chat_template={% if %}", "--set chat_template:1: not YAML: found character '%'"),
        ("lr={a} {b}", "--set lr:1: not YAML: expected '<document start>'"),
        ("name=..", "name: given '..'; a name is printable, of 1 to 100 bytes, and not only dots"),
        ("name=.", "name: given '.'"),
        ("name=Store", "name: given 'Store'; that is the folder of the artifacts"),
        ("name=" + "a" * 101, "name: given 'aaa"),
        ("models={..: {control: empty}}", "models...: given '..'"),
        ("judges={../..: {kind: rule}}", "judges.../..: given '../..'"),
        ('models={"a\\nb": {control: empty}}', "given 'a\\nb'"),
        ("datasets.pocket.preference.path=world/../../x.jsonl", "datasets.pocket.preference.path: given"),
        ("datasets.pocket.sft.path=world//etc/passwd", "datasets.pocket.sft.path: given 'world//etc/passwd'"),
        ("benchmarks.openllm.include=world/test/../../x", "benchmarks.openllm.include: given"),
    ],
)
def test_a_fault_in_a_suite_is_one_line_that_names_key_value_and_remedy(override: str, message: str) -> None:
    with pytest.raises(ValueError) as e:
        suites.load(TINY, [override])
    assert message in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bta": 1}, "methods.DPO.bta: unknown key; did you mean 'beta'?"),
        ({"beta": "big"}, "methods.DPO.beta: given 'big'; input should be a valid number"),
        ({"training": {"lr": "fast"}}, "methods.DPO.training.lr: given 'fast'"),
        ({"training": {"lrr": 1}}, "methods.DPO.training.lrr: unknown key; did you mean 'lr'?"),
    ],
)
def test_a_fault_in_a_methods_settings_is_one_line(settings: dict[str, object], message: str) -> None:
    loaded = suites.load(TINY).model_copy(update={"methods": {"DPO": settings}})
    with pytest.raises(ValueError) as e:
        loading.configured(loaded, methods.registry()["DPO"])
    assert message in str(e.value)


def test_numbers_follow_yaml_1_2(tmp_path: Path) -> None:
    loaded = suites.load(TINY, ["training.lr=5e-7", "methods.DPO.beta=1e-2"])
    hp, training = loading.configured(loaded, methods.registry()["DPO"])

    assert training.lr == 5e-7
    assert hp.beta == 1e-2


def test_published_settings_give_way_to_the_suites_and_those_to_the_methods_own() -> None:
    loaded = suites.load(TINY, ["methods.DPO.training.lr=0.5"])
    published = methods.registry()["DPO"].training
    _, training = loading.configured(loaded, methods.registry()["DPO"])

    assert training == Training(lr=0.5, epochs=1, batch_size=16, source="suite")
    assert (published.lr, published.batch_size) == (5e-7, 128)


def test_a_suite_that_does_not_exist_is_told_with_the_nearest_name() -> None:
    with pytest.raises(
        ValueError, match=r"no suite 'poket', nor a path that ends in \.yaml; did you mean 'pocket'\?$"
    ):
        suites.load("poket")
    with pytest.raises(ValueError, match=r"no suite file nowhere\.yaml"):
        suites.load("nowhere.yaml")


@pytest.mark.parametrize(("text", "message"), [("a: [1", "x.yaml:1: not YAML"), ("- 1", "a mapping of keys")])
def test_what_is_not_a_suite_is_told_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ValueError) as e:
        suites.load(str(tmp_path / "x.yaml"))
    assert message in str(e.value)


@pytest.mark.parametrize("name", ["pocket", "real-text"])
def test_the_suites_that_ship_are_valid(name: str) -> None:
    loaded = suites.load(name)
    for method in loaded.methods:
        loading.configured(loaded, methods.registry()[method])


def test_a_suite_takes_the_keys_of_the_one_it_extends(tmp_path: Path) -> None:
    """Mappings are merged key by key; what stands in the file itself wins; null takes a benchmark away."""
    own = tmp_path / "own.yaml"
    own.write_text(f"extends: {TINY}\nname: own\nmethods: {{SimPO: {{}}}}\nbenchmarks: {{openllm: null}}\n")
    base, found = suites.load(TINY), suites.load(str(own))
    assert found.methods == {**base.methods, "SimPO": {}}
    assert found.name == "own" and found.pairs == base.pairs
    measured = found.benchmarks.settings_by_name()
    assert "openllm" not in measured and measured["rule"] == base.benchmarks.settings_by_name()["rule"]


def test_suites_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(ValueError, match=r"b\.yaml: extends .*a\.yaml, which extends it"):
        suites.load(str(tmp_path / "a.yaml"))


def test_one_reference_or_several() -> None:
    one = suites.load(TINY, ["benchmarks.alpaca-eval.reference=DCKD"]).benchmarks.settings_by_name()
    several = suites.load(
        TINY, ["benchmarks.alpaca-eval.reference=[ADPA, DCKD]"]
    ).benchmarks.settings_by_name()
    found = [named["alpaca-eval"].reference for named in (one, several)]
    assert tuple(found) == (("DCKD",), ("ADPA", "DCKD"))


def test_the_whole_comparison_has_every_entry_and_the_small_one_the_papers_rows() -> None:
    every, small = suites.load("pocket-all"), suites.load("pocket")
    assert set(every.methods) == {m.name for m in methods.BUILT_IN}
    assert set(small.methods) == {m.name for m in methods.BUILT_IN if m.kind == "paper"}
    for method in methods.BUILT_IN:
        loading.configured(every, method)


@pytest.mark.parametrize("name", ["pocket", "pocket-all"])
def test_the_settings_that_ship_are_the_best_of_their_trials(name: str) -> None:
    """Each grid has all its trials in the table, and the one marked best is what the suite holds."""
    loaded = suites.load(name)
    with (loading.suite_file(name).with_suffix(".tuning.csv")).open() as f:
        trials = list(csv.DictReader(f))
    for method, grid in loaded.tuning.methods.items():
        own = [t for t in trials if t["method"] == method]
        if not own:
            continue  # in the table of the suite that this one extends
        assert len(own) == math.prod(len(values) for values in grid.values() if isinstance(values, tuple)), (
            method
        )
        (best,) = [t for t in own if t["best"]]
        assert float(best["rule_score"]) == max(float(t["rule_score"]) for t in own)
        held = loaded.methods[method] or {}
        assert held["training"]["lr"] == float(best["lr"]), method
        if best["setting"]:
            assert held[best["setting"]] == float(best["value"]), method


def test_what_a_key_names_is_told_with_the_innermost_key(tmp_path: Path) -> None:
    inner, outer = at_key("models.x.path"), at_key("benchmarks.b")
    with pytest.raises(ValueError, match=r"^models\.x\.path: no folder /x$"), outer, inner:
        raise ValueError("no folder /x")
    with pytest.raises(ValueError, match=r"^tuned: .*x+: File name too long$"), at_key("tuned"):
        (tmp_path / ("x" * 300)).stat()
    with pytest.raises(ValueError, match=r"^name: given 3$"), at_key("name"):
        raise ValueError("name: given 3")
    with pytest.raises(OSError, match="No space"), at_key("name"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_names_are_alike_where_some_disk_takes_their_files_for_one() -> None:
    """Upper and lower case, both ways to write an accent, and what stands for a slash."""
    alike = (
        ("DPO", "dpo"),
        ("org/m", "org_m"),
        ("\u00e9", "e\u0301"),
        ("\u00c9", "e\u0301"),
        ("\u00df", "SS"),
    )
    for one, other in alike:
        assert same_on_some_disk(one) == same_on_some_disk(other)
    assert same_on_some_disk("e") != same_on_some_disk("\u00e9")
