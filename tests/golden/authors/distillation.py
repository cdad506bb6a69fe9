"""Losses on a teacher's distributions, as their authors' functions say them of logits and labels."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from tests.golden.authors.code import functions, lines
from tests.golden.authors.pairs import CPU, Files
from tests.golden.authors.tensors import VOCAB, Tensors

TRAINER, MARGIN = "scripts/run_distill_dpo.py", "utils/merge_logits_adpa_dataset.py"
COMPRESS = "utils/compress_logits.py"
Compressed = list[dict[str, Any]]


def jsd(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """Its `lam` is the student's share of the mixture."""
    return _mixed(files, at, hp, "js_distance", "policy_rollout", lam=1 - hp["b"])


def reverse_kl(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    return _mixed(files, at, hp, "reverse_kl", "policy_rollout")


def skewed_forward(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """Theirs is a cross-entropy; less the teacher's entropy, which no gradient knows of, it is the KL."""
    share, y = hp["student_share"], "student_rollout"
    entropy = (1 - share) * _teacher_entropy(at, "chosen") + share * _teacher_entropy(at, y)
    return _mixed(files, at, hp, "skewed_forward_kl", y, lam=hp["skew"]) - entropy


def _teacher_entropy(at: Tensors, view: str) -> Tensor:
    """Of its next token, mean over the tokens of all answers."""
    rows = torch.cat(_of_answers(at, "teacher", view))
    return torch.distributions.Categorical(logits=rows).entropy().mean()


def skewed_reverse(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    return _mixed(files, at, hp, "skewed_reverse_kl", "student_rollout", lam=hp["skew"])


def _mixed(files: Files, at: Tensors, hp: dict[str, Any], name: str, rollout: str, **setting: Any) -> Tensor:
    """A divergence on `chosen` and on rollouts, by their shares: the expectation of a draw between them."""
    divergence = vars(functions(files["distillm/losses.py"], name))[name]
    share = hp["student_share"]

    def of(view: str) -> Tensor:
        logits, teacher = (at.logits(role, view)[:, :-1] for role in ("policy", "teacher"))
        return divergence(logits, teacher, {"label": at.labels(view)[:, 1:]}, **setting)

    return (1 - share) * of("chosen") + share * of(rollout)


def dpkd_token(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """Its preference term alone, kd_ratio 1."""
    authors = functions(files["dpkd/main.py"], "get_distil_loss", "find_non_repeating_lengths")
    args = SimpleNamespace(
        seqKD_DPO=True,
        reference_free=False,
        ipo=False,
        DPOP=False,
        simpo=False,
        label_smoothing=0.0,
        dpo_beta=hp["beta"],
    )

    class Teacher:
        def eval(self) -> None: ...

        def __call__(self, use_cache: bool) -> SimpleNamespace:
            return SimpleNamespace(logits=at.logits("teacher", "chosen")[:, :-1])

    labels, logits = {"label": at.labels("chosen")[:, 1:]}, at.logits("policy", "chosen")[:, :-1]
    return authors.get_distil_loss(args, None, None, Teacher(), {}, labels, logits)


def sft(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    return _released(files, at, sft_on_chosen=1.0)


def vanillakd(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """Over all of V, with the end of turn in the teacher's terms."""
    return _released(
        files, at, _teacher_probs(files, at), distillation_weight=1.0, chosen_distil_weight=hp["alpha"]
    )


def dckd(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """As `vanillakd`, of both answers."""
    weights = {"chosen_distil_weight": hp["alpha"], "rejected_distil_weight": hp["alpha"]}
    said = _teacher_probs(files, at)
    return _released(files, at, said, sft_on_chosen=1.0, distillation_weight=1.0, **weights)


def tvkd(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """Over all of V, with the end of turn in the rewards; the setting of its recipe, TVKD.yaml."""
    weights = {
        "qadapter_alpha": hp["alpha"],
        "qadapter_alpha_tilde": hp["tau"],
        "qadapter_gamma": hp["gamma"],
    }
    return _shaped(files, at, "sum", **weights)


def tvkd_entropy(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    return _shaped(files, at, "entropy", qadapter_alpha_tilde=1.0, qadapter_gamma=hp["gamma"])


def _shaped(files: Files, at: Tensors, value: str, **weights: Any) -> Tensor:
    on = {"distillation_weight": 1.0, "qadapter_distil_weight": 1.0}
    kind = {"qadapter_loss_type": "dpo", "qadapter_softvalue_type": value}
    helper = functions(files[TRAINER], "get_compressed_labels").get_compressed_labels
    names = {"get_compressed_labels": helper}
    return _released(files, at, _teacher_probs(files, at), names=names, **on, **kind, **weights)


def _teacher_probs(files: Files, at: Tensors, k: int = VOCAB) -> dict[str, list[Compressed]]:
    authors = functions(files[COMPRESS], "compress_probs")
    return {
        f"teacher_{view}_probs": [
            authors.compress_probs(logits, top_k=k) for logits in _of_answers(at, "teacher", view)
        ]
        for view in ("chosen", "rejected")
    }


def dckd_release(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """Micro-batches of one, without the end of turn in the teacher's terms."""
    weights = {"chosen_distil_weight": hp["alpha"], "rejected_distil_weight": hp["alpha"]}

    def of(one: Tensors) -> Tensor:
        said = {view: [rows[0][:-1]] for view, rows in _teacher_probs(files, one, hp["k"]).items()}
        return _released(files, one, said, sft_on_chosen=1.0, distillation_weight=1.0, **weights)

    return _mean(of, at)


def adpa_release(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """Micro-batches of one, without the end of turn in the advantage."""

    def of(one: Tensors) -> Tensor:
        said = {"rejected_margin_logp_every": [_margins(files, one, hp["k"])[:-1]]}
        return _released(files, one, said, "student_rollout", sft_on_chosen=1.0, adpa_weight=hp["weight"])

    return _mean(of, at)


def q_argmax(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    return _of_advantage(files, at, hp, sampled=False)


def q_softmax(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    return _of_advantage(files, at, hp, sampled=True)


def _of_advantage(files: Files, at: Tensors, hp: dict[str, Any], sampled: bool) -> Tensor:
    """Their target of a plausible advantage, in their KL; micro-batches of one."""
    authors = functions(
        files[COMPRESS], "recover_margin_cd", "compress_probs", "softmax", random=_NoPadding()
    )

    def of(one: Tensors) -> Tensor:
        (logits,), k = _of_answers(one, "teacher", "student_rollout"), VOCAB
        targets = authors.recover_margin_cd(
            [authors.compress_probs(logits, top_k=k)],
            one.logits("policy", "student_rollout"),
            [_margins(files, one, k)],
            threshold_p=hp["min_prob"],
            do_sample=sampled,
            mini_vocab_size=k,
        )
        if not sampled:  # one token in place of a list
            targets = [[{**t, "indices": [t["indices"]], "values": [t["values"]]} for t in targets[0]]]
        of_views = {"teacher_rejected_probs": targets}
        weights = {"distillation_weight": hp["gamma"], "rejected_distil_weight": 1.0}
        return _released(files, one, of_views, "student_rollout", **weights)

    return _mean(of, at) + _released(files, at, sft_on_chosen=1.0)


class _NoPadding:
    """Tokens outside a target are padded with probability 0; which ones they are changes nothing."""

    def sample(self, tokens: list[int], count: int) -> list[int]:
        return sorted(tokens)[:count]


def _mean(of: Callable[[Tensors], Tensor], at: Tensors) -> Tensor:
    return torch.stack([of(at.one(i)) for i in at.examples]).mean()


def _of_answers(at: Tensors, role: str, view: str) -> list[Tensor]:
    """Logits before the tokens of each answer, [n, V] each."""
    lengths = [len(answer) for _, answer in at.sequences(view)]
    return [row[:n].detach() for row, n in zip(at.before(role, view), lengths, strict=True)]


def _margins(files: Files, at: Tensors, k: int) -> Compressed:
    """The released advantage of one response's tokens, of each teacher's k likeliest."""
    authors = functions(files[COMPRESS], "compress_probs")
    (aligned,), (ref,) = (
        [authors.compress_probs(logits, top_k=k) for logits in _of_answers(at, role, "student_rollout")]
        for role in ("teacher", "teacher_ref")
    )
    margin = functions(files[MARGIN], "get_margin_logp_token").get_margin_logp_token
    return [margin(a, b) for a, b in zip(aligned, ref, strict=True)]


class _Off(SimpleNamespace):
    """Settings of which those that are not named are 0."""

    def __getattr__(self, name: str) -> float:
        return 0.0


def _released(
    files: Files,
    at: Tensors,
    said: dict[str, Any] | None = None,
    second: str = "rejected",
    names: dict[str, Any] | None = None,
    **weights: Any,
) -> Tensor:
    """What the released trainer computes under some weights; `second` is the view it calls rejected."""
    methods = ("get_batch_loss_metrics", "concatenated_forward", "concatenated_inputs", "get_kl_loss")
    load = functions(files[COMPRESS], "load_input_and_target_probs_fast").load_input_and_target_probs_fast
    authors = functions(
        files[TRAINER],
        *(f"DistillTrainer.{name}" for name in (*methods, "get_reverse_ce")),
        load_input_and_target_probs_fast=load,
        pad_to_length=_pad_to_length,
        **(names or {}),
    )
    trainer = SimpleNamespace(
        args=_Off(**weights),
        padding_value=0,
        aux_loss_enabled=False,
        use_weighting=False,
        loss_type="sigmoid",
        concatenated_inputs=authors.concatenated_inputs,
        get_kl_loss=authors.get_kl_loss,
        get_reverse_ce=authors.get_reverse_ce,
    )
    trainer.concatenated_forward = lambda *of: authors.concatenated_forward(trainer, *of)
    batch = dict(said or {})
    for name, view in (("chosen", "chosen"), ("rejected", second)):
        # Padding behind every answer: what TVKD has there is then the same on both sides.
        ids = _pad_to_length(at.ids(view), at.ids(view).shape[1] + 1, 0)
        labels = _pad_to_length(at.labels(view), ids.shape[1], -100)
        batch |= {f"{name}_input_ids": ids, f"{name}_labels": labels}
        batch[f"{name}_attention_mask"] = (ids != 0).long()
    batch |= {"prompt_input_ids": at.ids("chosen")[:, :1], "prompt_attention_mask": at.ids("chosen")[:, :1]}

    def model(input_ids: Tensor, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(logits=at.model("policy", input_ids))

    return authors.get_batch_loss_metrics(trainer, model, batch)[0]


def _pad_to_length(ids: Tensor, length: int, pad_value: int) -> Tensor:
    return torch.nn.functional.pad(ids, (0, length - ids.shape[1]), value=pad_value)


def atkd(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    names = ("atkd", "get_tckd_nckd", "_get_gt_mask", "_get_other_mask", "cat_mask")
    authors = functions(files["distill/distill_trainer.py"], *(f"DistillTrainer.{name}" for name in names))
    trainer = SimpleNamespace(setting="", alpha=hp["share"])
    for name in names[1:]:
        vars(trainer)[name] = lambda *of, name=name: vars(authors)[name](trainer, *of)
    logits = (at.logits(role, "chosen") for role in ("policy", "teacher"))
    return authors.atkd(trainer, *logits, at.ids("chosen"), 1.0, 1.0, at.labels("chosen") == -100)


def distillm2(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """An eighth of the training is done."""
    names = ("get_batch_logps", "kd_loss")
    authors = functions(files["src/distillm_trainer.py"], *(f"DistiLLMTrainer.{name}" for name in names))
    said = {}
    for view in ("teacher_rollout", "student_rollout"):
        said[view] = authors.get_batch_logps(
            at.logits("policy", view),
            at.logits("teacher", view),
            at.labels(view),
            average_log_prob=True,
            loss_type="distillm_v2",
            base_alpha_1=hp["skew"],
            base_alpha_2=hp["skew"],
        )
    trainer = SimpleNamespace(
        accelerator=CPU,
        loss_type="distillm_v2",
        gradual_beta=hp["rise"] > 0,
        state=SimpleNamespace(global_step=1, max_steps=8),
    )
    of_teacher, of_student = said.values()
    return authors.kd_loss(trainer, None, None, None, None, of_teacher[2], of_student[3]).mean()


def align_distil(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    return _token_rewards(files, at, hp["states"], "aligndistil", hp["beta"], hp["reach"] / 2)


def align_distil_theorem(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    return _token_rewards(files, at, hp["states"], "theorem1", hp["weight"], 1.0)


def _token_rewards(files: Files, at: Tensors, view: str, kind: str, beta: float, beta2: float) -> Tensor:
    """The lines of its training loop that make a loss of logits; `beta2` as it is called there."""
    tokens, mask = at.answers(view)
    settings = {"beta": beta, "beta2": beta2, "reward_boost_type": kind}
    return lines(
        files["OpenRLHF/openrlhf/trainer/aligndistil_trainer.py"],
        "AlignDistilTrainer.fit",
        "stu_probs",
        "rlhf_loss",
        args=SimpleNamespace(**settings, kd_temperature=1.0, reward_len_norm=True),
        student_logits=at.before("policy", view),
        teacher_logits=at.before("teacher", view).detach(),
        reference_logits=at.before("teacher_ref", view).detach(),
        mask=mask,
        label_ids=tokens,
        init_reward=-100,
    )
