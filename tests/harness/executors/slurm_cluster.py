"""A real SLURM of one node with two CPUs in a folder of its own: munged, slurmctld, slurmd.

    python -m tests.harness.executors.slurm_cluster FOLDER     until Ctrl-C; prints the variable to set

Without cgroups, which containers seldom allow: processes are tracked by their parents.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "squeue")
PLACES = "/usr/sbin:/usr/bin:/sbin:/bin"
SECONDS_TO_START = 60.0
CONFIG = """
ClusterName=bench
SlurmctldHost={host}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1,defer_batch
SlurmdTimeout=300
KillWait=2
NodeName={host} CPUs=2 Boards=1 SocketsPerBoard=1 CoresPerSocket=2 ThreadsPerCore=1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def lacks() -> str:
    """Why no SLURM can be started here; "" if one can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PLACES) is None]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "SLURM's daemons start as root"


@contextmanager
def cluster(folder: Path) -> Iterator[Path]:
    """A cluster that is up; yields its slurm.conf, which SLURM_CONF should name."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    host = socket.gethostname().partition(".")[0]
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=host, ports=_free_ports(2), folder=folder))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    socket_of_munge = folder / "munge.socket"
    munge = ["--key-file", key, "--socket", socket_of_munge, "--pid-file", folder / "munge.pid"]
    munge += ["--seed-file", folder / "munge.seed", "--log-file", folder / "munge.log", "--force"]
    env = {**os.environ, "SLURM_CONF": str(config)}
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in (
            ["munged", "--foreground", *map(str, munge)],
            ["slurmctld", "-D", "-i", "-f", str(config)],
            ["slurmd", "-D", "-N", host, "-f", str(config)],
        ):
            program = shutil.which(command[0], path=PLACES)
            assert program
            out = (folder / f"{command[0]}.out").open("wb")
            daemons.append(subprocess.Popen([program, *command[1:]], stdout=out, stderr=out, env=env))
            if command[0] == "munged":
                _until(socket_of_munge.exists, folder)
        _until(lambda: _idle(env), folder)
        yield config
    finally:
        subprocess.run(["scancel", "--user", "root"], env=env, capture_output=True)
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("", 0))
        return [int(s.getsockname()[1]) for s in sockets]
    finally:
        for s in sockets:
            s.close()


def _idle(env: dict[str, str]) -> bool:
    told = subprocess.run(["sinfo", "-h", "-o", "%T"], env=env, capture_output=True, text=True)
    return told.stdout.strip() == "idle"


def _until(true: object, folder: Path) -> None:
    assert callable(true)
    until = time.monotonic() + SECONDS_TO_START
    while not true():
        if time.monotonic() > until:
            raise OSError("SLURM did not start: " + " | ".join(_ends(folder)))
        time.sleep(0.2)


def _ends(folder: Path) -> Iterator[str]:
    for log in sorted(folder.glob("*.log")):
        yield f"{log.name}: {log.read_text(errors='replace')[-400:]}"


if __name__ == "__main__":
    with cluster(Path(sys.argv[1]).resolve()) as started:
        print(f"export SLURM_CONF={started}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
