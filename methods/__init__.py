"""Every method of the benchmark: the papers' rows in their tables' order, then ablations, other readings of a
formula, and additions.

To add one: write methods/yours.py ending in METHOD and add a line here; or expose METHOD under the
entry-point group "bench.methods" from another package; or name the file, `bench run --method-file yours.py`.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import entry_points

from methods import (
    adpa,
    adpa_release,
    atkd,
    dadpo,
    dckd,
    ddpo,
    distillm,
    dpkd,
    dpo,
    dppo,
    gkd,
    ipo,
    kto,
    minillm,
    opd,
    orpo,
    pad,
    plad,
    pro,
    q_kd,
    seqkd,
    sft,
    simpo,
    smoothed_dpo,
    tdpo,
    vanillakd,
    wpo,
)
from methods.api import Method, Training
from methods.batch import StoredView


def adpa_on(states: StoredView) -> Method:
    """ADPA with the advantage on other states, as in the paper's appendix E."""
    hp = adpa.ADPA(states=states)
    return replace(adpa.METHOD, name=f"ADPA[{states}]", hparams=hp, kind="ablation")


def adpa_over(k: int) -> Method:
    """ADPA over the teacher's top k; the paper's k is 50."""
    return replace(adpa.METHOD, name=f"ADPA[top-{k}]", hparams=adpa.ADPA(support=k), kind="ablation")


def pad_in(iterations: int, responses: int) -> Method:
    """PAD's decomposing strategy, iterations x responses."""
    hp = pad.PAD(iterations=iterations, responses=responses, samples=responses + 1)
    return replace(pad.METHOD, name=f"PAD[{iterations}x{responses}]", hparams=hp, kind="ablation")


PAPER = tuple(
    replace(method, kind="paper")
    for method in (
        sft.METHOD,
        dpo.METHOD,
        simpo.METHOD,
        wpo.METHOD,
        vanillakd.METHOD,
        seqkd.METHOD,
        atkd.METHOD,
        plad.METHOD,
        ddpo.METHOD,
        dpkd.METHOD,
        dckd.METHOD,
        adpa.METHOD,
        replace(
            adpa.METHOD,
            name="ADPA+",
            about="ADPA that starts from, and samples with, the student that DCKD trained.",
            starts_from="DCKD",
        ),
        pad.METHOD,
    )
)
ABLATIONS = (
    dckd.WITHOUT_DPO_TEACHER,
    vanillakd.DCKD_WITHOUT_DISPREFERRED,
    adpa.WITHOUT_REFERENCE,
    q_kd.ARGMAX,
    q_kd.SOFTMAX,
    dppo.SEQUENCE,
    dppo.TOKEN,
    adpa_on("chosen"),
    adpa_on("rejected"),
    adpa_on("teacher_rollout"),
    adpa_over(5),
    adpa_over(20),
    adpa_over(50),
    replace(
        pad.METHOD,
        name="PAD[selection]",
        about="Teacher scores from A-or-B choices alone.",
        hparams=pad.PAD(alpha=0.0),
        kind="ablation",
    ),
    replace(
        pad.METHOD,
        name="PAD[likelihood]",
        about="Teacher scores from length-averaged log-probs alone.",
        hparams=pad.PAD(alpha=1.0),
        kind="ablation",
    ),
    pad_in(2, 2),
    pad_in(3, 4),
)
VARIANTS = (
    vanillakd.WITH_SFT,
    adpa_release.RELEASE,
    simpo.RELEASE,
    simpo.PAD,
    ddpo.UNSCALED,
    replace(
        dpo.METHOD,
        name="DDPO[zephyr]",
        paper="Tunstall et al., 2023 (arXiv 2310.16944)",
        about="Zephyr's dDPO: DPO on pairs labelled by AI feedback, at Zephyr's setting.",
        hparams=dpo.DPO(beta=0.1),
        training=Training(lr=5e-7, epochs=3, batch_size=32, schedule="linear", source="Zephyr, Sec. 4.2"),
        kind="variant",
    ),
    replace(
        dpo.METHOD,
        name="DDPO[teacher_vs_student]",
        paper="the name as in daDPO, 2025 (arXiv 2506.15717)",
        about="DPO with the teacher's response preferred to the frozen student's.",
        hparams=dpo.DPO(beta=0.1, preferred="teacher_rollout", dispreferred="student_rollout"),
        training=Training(lr=5e-7),
        kind="variant",
    ),
    dpkd.TOKEN,
    pad.VPD,
    pad.RELEASE,
)
ADDITIONS = (
    smoothed_dpo.CDPO,
    smoothed_dpo.RDPO,
    ipo.METHOD,
    ipo.MEAN,
    kto.METHOD,
    orpo.METHOD,
    tdpo.METHOD,
    pro.METHOD,
    gkd.METHOD,
    gkd.FORWARD,
    gkd.REVERSE,
    minillm.METHOD,
    distillm.METHOD,
    distillm.REVERSE,
    dadpo.METHOD,
    opd.METHOD,
    opd.SAMPLED,
)
BUILT_IN: tuple[Method, ...] = (*PAPER, *ABLATIONS, *VARIANTS, *ADDITIONS)


def registry(extra: Sequence[Method] = ()) -> dict[str, Method]:
    """Name -> method: the built-in ones in table order, then entry points, then `extra`; a name twice is an
    error.
    """
    found = [*BUILT_IN, *(e.load() for e in entry_points(group="bench.methods")), *extra]
    names = [m.name for m in found]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise ValueError(f"method registered twice: {', '.join(twice)}")
    return dict(zip(names, found, strict=True))


def get(name: str, known: Mapping[str, Method]) -> Method:
    """The method of that name; ValueError with the nearest name where there is none."""
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no method {name!r}{hint} Known: {', '.join(known)}")
    return known[name]
