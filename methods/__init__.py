"""Every method of the benchmark: the papers' rows in their tables' order, then ablations, other readings of a
formula, and additions.

To add one: write methods/yours.py ending in METHOD and add a line here; or expose METHOD under the
entry-point group "bench.methods" from another package; or name the file, `bench run --method-file yours.py`.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points

from methods import (
    adpa,
    adpa_release,
    align_distil,
    atkd,
    dadpo,
    dckd,
    dckd_release,
    ddpo,
    distillm,
    distillm2,
    dpkd,
    dpkd_token,
    dpo,
    dppo,
    gkd,
    ipo,
    kto,
    minillm,
    minillm_release,
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
    tvkd,
    vanillakd,
    wpo,
)
from methods.api import Method, Training
from methods.batch import StoredView
from methods.sources import ADPA_TABLES


def adpa_on(states: StoredView) -> Method:
    """ADPA with the advantage on other states, as in the paper's appendix E."""
    hp = adpa.ADPA(states=states)
    sources = {**adpa.METHOD.sources, "states": "paper: ADPA, Appendix E", "teacher_rollout": "ours: greedy"}
    return replace(adpa.METHOD, name=f"ADPA[{states}]", sources=sources, hparams=hp, kind="ablation")


def adpa_over(k: int) -> Method:
    """ADPA over the teacher's top k; the paper's k is 50."""
    sources = {**adpa.METHOD.sources, "support": "paper: ADPA, Sec. 4.1" if k == 50 else "ours"}
    hp = adpa.ADPA(support=k)
    return replace(adpa.METHOD, name=f"ADPA[top-{k}]", sources=sources, hparams=hp, kind="ablation")


def pad_in(iterations: int, responses: int) -> Method:
    """PAD's decomposing strategy, iterations x responses."""
    hp = pad.PAD(iterations=iterations, responses=responses, samples=responses + 1)
    shape = f"{iterations}x{responses}"
    numbers = dict.fromkeys(("iterations", "responses"), f"paper: PAD, {shape}")
    sources = {**pad.METHOD.sources, **numbers, "samples": "ours: one more than kept"}
    return replace(pad.METHOD, name=f"PAD[{shape}]", sources=sources, hparams=hp, kind="ablation")


def in_adpa_tables(method: Method) -> Method:
    """A method with what ADPA's tables share, where it names no other source of that."""
    return replace(method, sources={**ADPA_TABLES, **method.sources})


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
        sources={**pad.METHOD.sources, "alpha": "paper: PAD, ablation"},
        hparams=pad.PAD(alpha=1.0),
        kind="ablation",
    ),
    pad_in(2, 2),
    pad_in(3, 4),
)
VARIANTS = (
    vanillakd.WITH_SFT,
    in_adpa_tables(dckd_release.RELEASE),
    in_adpa_tables(adpa_release.RELEASE),
    in_adpa_tables(
        replace(
            adpa_release.RELEASE,
            name="ADPA+[release]",
            about="student_adpa.yaml: from, and with responses of, the student that DCKD[release] trained.",
            sources={**adpa_release.RELEASE.sources, "starts_from": "release: ADPA, student_adpa.yaml"},
            starts_from="DCKD[release]",
        )
    ),
    simpo.RELEASE,
    simpo.PAD,
    ddpo.UNSCALED,
    replace(
        dpo.METHOD,
        name="DDPO[zephyr]",
        paper="Tunstall et al., 2023 (arXiv 2310.16944)",
        about="Zephyr's dDPO: DPO on pairs labelled by AI feedback, at Zephyr's setting.",
        sources={**dpo.METHOD.sources, "beta": "paper: Zephyr, Sec. 4.2"},
        hparams=dpo.DPO(beta=0.1),
        training=Training(
            lr=5e-7, epochs=3, batch_size=32, schedule="linear", source="paper: Zephyr, Sec. 4.2"
        ),
        kind="variant",
    ),
    replace(
        dpo.METHOD,
        name="DDPO[teacher_vs_student]",
        paper="the name as in daDPO, 2025 (arXiv 2506.15717)",
        about="DPO with the teacher's response preferred to the frozen student's.",
        sources={
            **dpo.METHOD.sources,
            "beta": "ours",
            **dict.fromkeys(("preferred", "dispreferred"), "other: daDPO, the name"),
            **dict.fromkeys(("teacher_rollout", "student_rollout"), "ours: greedy"),
        },
        hparams=dpo.DPO(beta=0.1, preferred="teacher_rollout", dispreferred="student_rollout"),
        training=Training(lr=5e-7),
        kind="variant",
    ),
    dpkd_token.METHOD,
    replace(
        pad.METHOD,
        name="PAD[VPD]",
        sources={**pad.METHOD.sources, "loss": "paper: PAD, VPD"},
        loss=pad.vpd_loss,
        kind="variant",
    ),
    replace(
        pad.METHOD,
        name="PAD[release]",
        sources={**pad.METHOD.sources, "loss": "release: PAD, simpo_trainer.py"},
        loss=pad.release_loss,
        kind="variant",
    ),
    minillm_release.RELEASE,
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
    tvkd.METHOD,
    tvkd.ENTROPY,
    gkd.METHOD,
    gkd.FORWARD,
    gkd.REVERSE,
    minillm.METHOD,
    distillm.METHOD,
    distillm.REVERSE,
    distillm2.METHOD,
    distillm2.RELEASE,
    align_distil.METHOD,
    replace(
        align_distil.METHOD,
        name="AlignDistil[off-policy]",
        hparams=align_distil.AlignDistil(reach=20.0, states="chosen"),
        sources={
            **align_distil.METHOD.sources,
            "reach": "release: train_scripts, off policy, twice their beta2",
        },
    ),
    align_distil.THEOREM,
    dadpo.METHOD,
    opd.METHOD,
    opd.SAMPLED,
)
BUILT_IN: tuple[Method, ...] = (
    *map(in_adpa_tables, (*PAPER, *ABLATIONS)),
    *VARIANTS,
    *ADDITIONS,
)


SHOWN = 80  # characters of a name that is none


def registry(extra: Sequence[Method] = ()) -> dict[str, Method]:
    """Name -> method: the built-in ones in table order, then entry points, then `extra`; a name twice is an
    error.
    """
    found = [*BUILT_IN, *_packaged(), *extra]
    names = [m.name for m in found]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise ValueError(f"method registered twice: {', '.join(twice)}")
    return dict(zip(names, found, strict=True))


@cache
def _packaged() -> tuple[Method, ...]:
    """The methods of other packages."""
    # Once a process: each look reads the metadata of all packages that are installed, and a plan takes many.
    return tuple(point.load() for point in entry_points(group="bench.methods"))


def get(name: str, known: Mapping[str, Method]) -> Method:
    """The method of that name; ValueError with the nearest name where there is none."""
    if name not in known:
        alike = {other.lower(): other for other in reversed(list(known))}
        near = difflib.get_close_matches(name[:SHOWN].lower(), alike, n=1, cutoff=0.4)
        hint = f"did you mean {alike[near[0]]!r}? " if near else ""
        given = repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}...")
        raise ValueError(f"no method {given}; {hint}`bench methods` lists all {len(known)}")
    return known[name]
