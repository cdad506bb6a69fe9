"""A training in processes of its own, under accelerate's launcher: DDP on N devices, FSDP2 where a suite
says `shard`, or what an accelerate config file says.

    <kept>/launch/spec.json    a `Work`: settings, inputs, out, context, kept
      fsdp2.yaml               what the launcher is told of `shard`
      log                      what launcher and processes print
      result.json              {"measured": {...}}, {"stopped": " after step 120"}, {"error": "..."}, or
                                 {"tokens": 8192}: out of memory, all start again with such micro-batches
      stop                     an empty file, once this process wants them to stop

    python -m harness.train.worker <kept>/launch    one of the processes

The launcher lives under a supervisor (common/supervisor.py), so that nothing of it outlives this process.
SIGTERM is handed on as a file: at the signal the launcher would end its processes itself, and soon.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.common import shutdown, supervisor
from harness.common.text import cut, printed
from harness.common.underway import news
from harness.store.step import StepLost
from harness.store.step_record import by_name, to_record
from harness.train.examples import TrainWork
from harness.train.placing import accelerate_file

ROOT = Path(__file__).parents[2]
SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_TO_SAVE = 120  # for a last checkpoint, where SIGTERM reaches the supervisor and the launcher as well
RESULT, STOP, SPEC, LOG = "result.json", "stop", "spec.json", "log"


def needs_launcher(context: Mapping[str, Any]) -> bool:
    """Whether a training is to have processes of its own; never in one of them."""
    several = context.get("processes", 1) > 1 or bool(context.get("accelerate_config"))
    return several and "RANK" not in os.environ


def run(work: TrainWork) -> dict[str, Any]:
    """Train in processes of their own, and return what they measured.

    A ValueError of theirs is raised here; another end is one line of a ChildProcessError that names the log.
    """
    if file := work.context.get("accelerate_config"):
        accelerate_file.read(Path(file))
    # Without a folder that outlives a kill the processes still need one to meet in.
    with tempfile.TemporaryDirectory() as spare:
        folder = (work.kept or Path(spare)).resolve() / "launch"
        context, halved = work.context, 0
        while True:
            code = _launched(work, context, folder)
            tokens = _told(folder).get("tokens")
            if tokens is None:
                measured = _result(folder, code)
                return {**measured, "halved": measured["halved"] + halved}
            halved += 1
            print(
                printed(
                    f"bench: {context['method']}: out of memory; the training goes on at its last checkpoint "
                    f"with micro-batches of at most {tokens:,} positions, which changes the last bits of sums"
                ),
                file=sys.stderr,
            )
            context = {**context, "tokens": tokens}


def _launched(work: TrainWork, context: Mapping[str, Any], folder: Path) -> int:
    """Exit status of the processes of a training, which has said in its folder how it ended."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spec = {
        "settings": to_record(work.settings),
        "inputs": {name: str(path.resolve()) for name, path in by_name(work.inputs).items()},
        "out": str(work.out.resolve()),
        "context": context,
        "kept": work.kept and str(work.kept.resolve()),
        "news": (told := news.file()) and str(told.resolve()),
    }
    (folder / SPEC).write_text(json.dumps(spec))
    return _waited(_command(folder, context), folder)


def _command(folder: Path, context: Mapping[str, Any]) -> list[str]:
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    file = context.get("accelerate_config")
    if not file and context.get("shard"):
        file = accelerate_file.write_fsdp2(folder)
    if file:
        command += ["--config_file", str(file)]
    else:
        command += ["--multi_gpu", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    if processes := context.get("processes"):
        command += ["--num_processes", str(processes)]
    return [*command, "--main_process_port", "0", "--module", "harness.train.worker", str(folder)]


def _waited(command: list[str], folder: Path) -> int:
    """Exit status of a command under a supervisor; SIGTERM is told to its processes and waited for."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with shutdown.deferred(), (folder / LOG).open("wb") as out:
        process = supervisor.start(command, SECONDS_TO_SAVE, out, {"PYTHONPATH": path})
        try:
            while process.poll() is None:
                # torchrun would kill its workers at once; a file lets them write a checkpoint first.
                if shutdown.requested():
                    (folder / STOP).touch()
                time.sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            process.terminate()
            code = process.wait()
        if shutdown.requested():
            raise shutdown.Terminated(_told(folder).get("stopped", ""))
    return code


def _told(folder: Path) -> dict[str, Any]:
    found = folder / RESULT
    return json.loads(found.read_text()) if found.exists() else {}


def _result(folder: Path, code: int) -> dict[str, Any]:
    measured = _told(folder)
    if "measured" in measured:
        return dict(measured["measured"])
    if "stopped" in measured:
        raise shutdown.Terminated(measured["stopped"])
    if "lost" in measured:
        raise StepLost(measured["lost"])
    if "error" in measured:
        raise ValueError(measured["error"])
    lines = [line.strip() for line in (folder / LOG).read_text(errors="replace").splitlines()]
    # The last words are the launcher's; the fault is the last line that names one.
    fault = next((x for x in reversed(lines) if "Error" in x and "ChildFailed" not in x), "nothing said why")
    # Short, since the place of the log must stand in the line whole.
    said = cut(fault, 80)
    raise ChildProcessError(f"the processes of a training ended, status {code}: {said}; log: {folder / LOG}")
