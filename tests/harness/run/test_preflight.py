"""What is looked at before any work: the folders of models that lie outside the store."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    LlamaConfig,
    LlamaForSequenceClassification,
    MixtralConfig,
    MptConfig,
    PreTrainedConfig,
)

import methods
from harness.executors.options import Machine
from harness.models.prepare import WORLD
from harness.plan import plan as planning
from harness.run import preflight
from harness.run.checks import world_checks
from tests import suites
from tests.harness.models.tiny_models import TEMPLATE, VOCAB, tiny_folder
from tests.paths import ROOT, TINY


def look(*overrides: str) -> None:
    """At all steps of the tiny suite, of which none is done."""
    preflight.check(planning.plan(suites.load(TINY, overrides), methods.registry(), Machine()).steps)


def configured(folder: Path, **config: object) -> Path:
    about = json.loads((tiny_folder(folder) / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | config))
    return folder


def test_a_run_of_nothing_does_not_take_the_seconds_that_transformers_takes() -> None:
    code = "import sys, harness.run.preflight as p; p.check([]); assert 'transformers' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("whose", ["student", "teacher"])
def test_a_model_of_more_layers_than_its_file_ends_a_run_before_it_begins(whose: str, tmp_path: Path) -> None:
    folder = configured(tmp_path / "m", num_hidden_layers=3)
    with pytest.raises(ValueError, match=rf"{folder}: .*lacking: model\.layers\.2\."):
        look(f"pairs.tiny.{whose}.base={folder}")


def test_a_reward_model_is_no_student(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "m")
    config = LlamaConfig.from_pretrained(folder, num_labels=1, tie_word_embeddings=False)
    LlamaForSequenceClassification(config).save_pretrained(folder)
    with pytest.raises(ValueError, match=r"lacking: lm_head\.weight; unknown: score\.weight"):
        look(f"pairs.tiny.student.base={folder}")


def test_a_folder_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "m")
    for text in ("{", '{"model_type": "gpt99"}'):
        (folder / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config|gpt99"):
            look(f"pairs.tiny.student.base={folder}")


def test_sequences_longer_than_the_frequencies_allow_end_a_run_before_it_begins(tmp_path: Path) -> None:
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    folder = configured(tmp_path / "m", rope_parameters=rope, max_position_embeddings=100)
    with pytest.raises(ValueError, match=r"max_length: 128; beyond 100 tokens the RoPE of .*m changes"):
        look(f"pairs.tiny.student.base={folder}")
    look(*(f"pairs.tiny.{who}.base={folder}" for who in ("student", "teacher")), "max_length=100")


def test_sequences_longer_than_a_model_was_trained_on_end_a_run_before_it_begins(tmp_path: Path) -> None:
    """RoPE computes any position; what a model makes of those that it never saw was trained on in silence."""
    folder = configured(tmp_path / "m", max_position_embeddings=100)
    with pytest.raises(ValueError, match=r"max_length: 128; .*m/config\.json says max_position_emb.* 100"):
        look(f"pairs.tiny.student.base={folder}")
    bases = [f"pairs.tiny.{who}.base={folder}" for who in ("student", "teacher")]
    look(*bases, "max_length=100")
    rope = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    configured(folder, rope_parameters=rope, max_position_embeddings=100)
    look(*bases)  # a factor stretches what was learned


def model_folder(folder: Path, config: PreTrainedConfig) -> Path:
    (tiny_folder(folder) / "model.safetensors").unlink()
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "config",
    [
        GPT2Config(vocab_size=VOCAB, n_embd=16, n_layer=1, n_head=2, n_positions=100),
        MptConfig(vocab_size=VOCAB, d_model=16, n_layers=1, n_heads=2, max_seq_len=100),
    ],
    ids=["a table", "biases"],
)
def test_sequences_longer_than_the_positions_end_a_run_before_it_begins(
    tmp_path: Path, config: PreTrainedConfig
) -> None:
    """Their tokens ended a training in an index out of range, or in an error of shapes."""
    folder = model_folder(tmp_path / "m", config)
    with pytest.raises(ValueError, match=r"max_length: 128; .*m has 100 positions, so 100 is the most"):
        look(f"pairs.tiny.student.base={folder}")
    look(*(f"pairs.tiny.{who}.base={folder}" for who in ("student", "teacher")), "max_length=100")


def test_adapters_on_all_layers_of_a_model_with_experts_end_a_run_before_it_begins(tmp_path: Path) -> None:
    config = MixtralConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=4,
    )
    folder = model_folder(tmp_path / "m", config)
    words = (
        r"^SFT: lora\.targets: all-linear: .*experts\.gate_up_proj of MixtralForCausalLM is no linear layer "
    )
    models = [f"pairs.tiny.{who}.base={folder}" for who in ("student", "teacher")]
    with pytest.raises(ValueError, match=words + r".*name layers: q_proj, k_proj, v_proj, o_proj$"):
        look(*models, "methods.SFT.training.lora={r: 4}")
    look(*models, "methods.SFT.training.lora={targets: [q_proj]}")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            ("pairs.tiny.student.base={}/teacher",),
            "student .*/teacher and teacher teacher have other token maps",
        ),
        (("pairs.tiny.teacher.base={}/teacher",), ".*/student has no chat template; give one in the suite"),
        (
            ("pairs.tiny.student.base={}/teacher", "pairs.tiny.teacher.base={}/teacher", "methods.PAD={}"),
            "probe.options: 'A' and 'B' begin with the same token '<unk>'",
        ),
    ],
)
def test_models_that_cannot_be_spoken_to_end_a_run_before_it_begins(
    changed: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    (tiny_folder(tmp_path / "student") / "chat_template.jinja").unlink()
    tiny_folder(tmp_path / "teacher")
    given = [key if key.endswith("={}") else key.format(tmp_path) for key in changed]
    with pytest.raises(ValueError, match=words):
        look(f"pairs.tiny.student.base={tmp_path}/student", "max_length=100", *given)


# DeepSeek-R1's: it asks with a thought that has begun, and writes answers without any.
THINKING = (
    "{% for m in messages %}{{ '<' + m['role'] + '>' }}"
    "{{ m['content'].split('</think>')[-1] if m['role'] == 'assistant' else m['content'] }}<end>{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant><think>\n' }}{% endif %}"
)


@pytest.mark.parametrize("whose", ["the student's", "the suite's"])
def test_a_template_that_carries_no_answer_ends_a_run_before_it_begins(whose: str, tmp_path: Path) -> None:
    """Its rows were refused one by one, after the steps that they stand on."""
    given = []
    for who in ("student", "teacher"):
        given.append(f"pairs.tiny.{who}.base={tiny_folder(tmp_path / who)}")
        (tmp_path / who / "chat_template.jinja").write_text(THINKING)
    if whose == "the suite's":
        given = [f"chat_template={json.dumps(THINKING)}"]
    with pytest.raises(ValueError, match="the chat template does not continue its own generation prompt, so"):
        look(*given)
    mended = THINKING.replace("{{ '<assistant><think>\n' }}", "{{ '<assistant>' }}")
    look(*given, f"chat_template={json.dumps(mended)}")


TURNS = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (TURNS.replace("m.content", "m.content|e"), "chat_template: .* does not write the question as it is"),
        (
            TURNS.replace("in messages", "in messages[:2]"),
            "asks 2 turns, and chat_template: the chat template does not write the question as it is",
        ),
        (
            "{{ messages[0].get }}" + TURNS,
            "writes <built-in method get of dict object at .*>, which each",
        ),
        ("{{ range(9999)|random }}" + TURNS, "chat_template: the chat template "),
        (TURNS.partition("{% if")[0], "has no generation prompt, so answers begin with '<assistant>'"),
        (
            "{% if messages|length > 2 %}{{ raise_exception('one turn') }}{% endif %}" + TURNS,
            "benchmarks.mt-bench: asks 2 turns, and chat_template: the chat template refuses: one turn",
        ),
    ],
)
def test_a_template_that_writes_otherwise_than_was_said_ends_a_run_before_it_begins(
    template: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        look(f"chat_template={json.dumps(template)}")


@pytest.mark.parametrize(
    "template",
    [
        # Cohere's opens the answer without being asked to, and writes more before it.
        TURNS.partition("{% if")[0].replace(
            "<end>", "<end>{% if loop.last and m.role == 'user' %}<assistant>{% endif %}"
        ),
        TURNS.replace("m.content", "m.content.replace('\n', ' ')|trim if m.role == 'user' else m.content"),
        TURNS.replace("m.content", "m.content.replace('/no_think', '')"),
    ],
)
def test_a_template_that_says_all_that_was_said_is_taken(template: str) -> None:
    look(f"chat_template={json.dumps(template)}")


@pytest.mark.parametrize("writes", [False, True])
def test_a_template_of_a_token_without_an_embedding_ends_a_run_before_it_begins(
    tmp_path: Path, writes: bool
) -> None:
    """All rows were dropped for it once other steps were made, and a question ended a measurement."""
    folder = tiny_folder(tmp_path / "m")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<turn>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    bases = [f"pairs.tiny.{who}.base={folder}" for who in ("student", "teacher")]
    if not writes:
        look(*bases)  # a token that nobody writes does no harm
        return
    (folder / "chat_template.jinja").write_text(f"<turn>{TEMPLATE}")
    told = rf"m: its .* write '<turn>' \(id {VOCAB}\), .* of {VOCAB} ids alone"
    with pytest.raises(ValueError, match=told):
        look(*bases)


def test_the_world_that_is_looked_at_has_as_many_questions_as_the_suites() -> None:
    """A benchmark that wants more than a few was refused over one of eight."""
    steps = planning.plan(suites.load(TINY), methods.registry(), Machine()).steps
    folder = world_checks.folder(next(step for step in steps if step.kind == WORLD))
    assert folder and len(json.loads((folder / "test/alpaca_eval/questions.json").read_text())) == 16


def test_a_teacher_without_a_chat_template_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tiny_folder(tmp_path / "teacher") / "chat_template.jinja").unlink()
    tiny_folder(tmp_path / "student")
    look(*(f"pairs.tiny.{who}.base={tmp_path}/{who}" for who in ("student", "teacher")))


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("benchmarks.mt-bench.data=world/test", "benchmarks.mt-bench: no file world/test/question.jsonl"),
        ("benchmarks.rule.data=world/tst", "world/tst/alpaca_eval has no questions.json"),
        ("benchmarks.openllm.tasks=[pocket_fact]", "no task 'pocket_fact'; did you mean 'pocket_facts'?"),
        ("benchmarks.openllm.include=world", "those of the world are in world/test/openllm"),
    ],
)
def test_what_the_world_will_not_hold_is_told_before_it_is_made(setting: str, told: str) -> None:
    with pytest.raises(ValueError) as fault:
        look(setting)
    assert told in str(fault.value)
