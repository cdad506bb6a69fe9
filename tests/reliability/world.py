"""The commands that have a step of every kind between them, and what they read.

letters   two models from outside that are spoken to in two ways; rows that need each a kind of its own
tiny      the generated world, models pretrained on it, lm-eval's tasks
check     a judge on gold pairs
"""

import json
from pathlib import Path

from tests.harness.endpoints.judging_server import KEY_ENV
from tests.harness.models.tiny_models import TEMPLATE
from tests.harness.plan import test_chat_format as letters
from tests.harness.signals.test_reward_model import reward_folder
from tests.paths import TINY

LETTERS = """
--set=methods={{SeqKD: {{}}, PAD: {{}}, KTO: {{}}, ADPA: {{}}}}
--set=judges.j={{model: noisy, seed: 3, base_url: "{url}", api_key_env: {key}, repeats: {{share: 0.5, times: 2}}}}
--set=models.remote={{url: "{url}", model: gpt-4, api_key_env: {key}}}
--set=models.constant={{control: constant}}
--set=models.written={{answers: written}}
--set=selection={{every: 1.5, model: {folder}/reward, max_tokens: 8}}
--set=training={{epochs: 3, batch_size: 4, lr: 1e-3}}
--set=datasets.own.validation={{path: {folder}/pairs.jsonl}}
--set=benchmarks.mine.reference=written
--set=benchmarks.objective={{}}
--name=letters
"""  # noqa: E501
TASKS = """
--set=benchmarks={rule: {data: world/test, max_tokens: 8}, openllm: {tasks: [pocket_facts], include: world/test/openllm, limit: 4}}
--only=SFT
--name=tiny
"""  # noqa: E501


def commands(folder: Path, url: str) -> dict[str, list[str]]:
    """The words of each command, whose files are made below `folder`; a judge answers at `url`."""
    folder.mkdir(parents=True)
    suite = letters.suite(folder)
    other = TEMPLATE.replace("{{ m.content }}", "z {{ m.content }} z")
    (folder / "teacher" / "chat_template.jinja").write_text(other)
    reward_folder(folder / "reward")
    _write_answers(folder / "mine")
    (folder / "gold").mkdir()
    pairs = [{"input": f"a {n}", "output_1": "b", "output_2": "c", "label": 1 + n % 2} for n in range(4)]
    (folder / "gold" / "Natural.json").write_text(json.dumps(pairs))
    judge = "--judge=noisy", f"--judge-url={url}", f"--judge-key-env={KEY_ENV}"
    own = LETTERS.format(url=url, key=KEY_ENV, folder=folder).strip().splitlines()
    return {
        "letters": ["run", suite, *own],
        "tiny": ["run", str(TINY), *TASKS.strip().splitlines()],
        "check": ["judge", "check", *judge, f"--data={folder / 'gold'}", "--repeats=2"],
    }


def _write_answers(data: Path) -> None:
    """Answers of somebody else to the suite's questions."""
    asked = json.loads((data / "questions.json").read_text())
    rows = [{**row, "output": f"a {n}", "generator": "written"} for n, row in enumerate(asked)]
    (data / "model_outputs").mkdir()
    (data / "model_outputs" / "written.json").write_text(json.dumps(rows))
