"""Make the numbers anew: python -m tests.golden.authors.make FILE [FILE ...]

FILE is a source file of the authors'; its sha256 says which. What is made of all given files' functions is
written to this folder. `--inputs` writes the tensors that all losses read.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.golden.authors import distillation, pairs, sampled, tensors
from tests.golden.authors.tensors import Tensors

FOLDER = Path(__file__).parent
DIGITS = 10  # of a stored number
Loss = Callable[[Mapping[str, str], Tensors, dict[str, Any]], Tensor]
LOSSES: dict[str, dict[str, Loss]] = {  # file of numbers -> entry of the registry -> what the authors say
    "adpa": {
        "SFT": distillation.sft,
        "VanillaKD": distillation.vanillakd,
        "DCKD": distillation.dckd,
        "DCKD[release]": distillation.dckd_release,
        "ADPA[release]": distillation.adpa_release,
        "Q-argmax KD": distillation.q_argmax,
        "Q-softmax KD": distillation.q_softmax,
    },
    "aligndistil": {
        "AlignDistil": distillation.align_distil,
        "AlignDistil[theorem 1]": distillation.align_distil_theorem,
    },
    "atkd": {"ATKD": distillation.atkd},
    "distillm": {
        "GKD": distillation.jsd,
        "GKD[reverse]": distillation.reverse_kl,
        "DistiLLM": distillation.skewed_forward,
        "DistiLLM[SRKL]": distillation.skewed_reverse,
    },
    "distillm2": {"DistiLLM-2": distillation.distillm2, "DistiLLM-2[release]": distillation.distillm2},
    "dpkd": {"DPKD[token]": distillation.dpkd_token},
    "dpo": {"DPO": pairs.dpo, "cDPO": pairs.dpo, "IPO": pairs.ipo},
    "halos": {"KTO": pairs.kto, "DPPO[sequence]": sampled.ppo_whitened},
    "minillm": {"MiniLLM": sampled.minillm, "MiniLLM[release]": sampled.minillm_release},
    "openrlhf": {"DPPO[token]": sampled.ppo, "DPPO[sequence]": sampled.ppo_sequence},
    "orpo": {"ORPO": pairs.orpo},
    "pad": {"PAD[release]": sampled.pad_ppd, "PAD[VPD]": sampled.pad_vpd},
    "pro": {"PRO": sampled.pro},
    "simpo": {"SimPO[release]": pairs.simpo},
    "tdpo": {"TDPO": pairs.tdpo},
    "tvkd": {"TVKD": distillation.tvkd, "TVKD[entropy]": distillation.tvkd_entropy},
    "wpo": {"WPO": pairs.wpo},
}


def numbers(case: dict[str, Any], of: Loss, files: Mapping[str, str], data: dict[str, Any]) -> dict[str, Any]:
    """Loss and gradient of one case."""
    at = Tensors(data, case["examples"])
    loss = of(files, at, case["setting"])
    loss.backward()
    rows = {str(i): _rounded(row) for i, row in enumerate(at.policy.grad) if row.abs().max() > 0}
    gradient: dict[str, Any] = {"logits": rows}
    if at.value.grad is not None:
        gradient["value"] = _rounded(at.value.grad)
    return {"loss": float(f"{loss.item():.{DIGITS}g}"), "gradient": gradient}


def _rounded(numbers: Tensor) -> list[float]:
    return [float(f"{x:.{DIGITS}g}") for x in numbers.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="FOLDER")
    parser.add_argument("--inputs", action="store_true")
    asked = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    if asked.inputs:
        tensors.FILE.write_text(tensors.text(tensors.drawn()))
    data = json.loads(tensors.FILE.read_text())
    given = {hashlib.sha256(file.read_bytes()).hexdigest(): file.read_text() for file in asked.files}
    used = set()
    for path in sorted((FOLDER / "numbers").glob("*.json")):
        golden = json.loads(path.read_text())
        sha256 = golden["files"]
        if set(sha256.values()) <= given.keys():
            files = {name: given[digest] for name, digest in sha256.items()}
            used |= set(sha256.values())
            (asked.out / "numbers").mkdir(parents=True, exist_ok=True)
            of = LOSSES[path.stem]
            cases = [case | numbers(case, of[case["formula"]], files, data) for case in golden["cases"]]
            (asked.out / "numbers" / path.name).write_text(_text({**golden, "cases": cases}))
            print(f"{path.name}: {', '.join(case['formula'] for case in golden['cases'])}")
    if unknown := given.keys() - used:
        parser.error(f"no golden is of the file with sha256 {', '.join(unknown)}, or not of it alone")


def _text(golden: dict[str, Any]) -> str:
    """JSON of which each case is a few lines."""
    head = {key: value for key, value in golden.items() if key != "cases"}
    cases = []
    for case in golden["cases"]:
        lines = [f"   {json.dumps(key)}: {json.dumps(value)}" for key, value in case.items()]
        cases.append("  {\n" + ",\n".join(lines) + "\n  }")
    return json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + ",\n".join(cases) + "\n ]\n}\n"


if __name__ == "__main__":
    main()
