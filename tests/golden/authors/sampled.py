"""Losses of the policy's own responses and of rankings, as their authors' functions say them of logits."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from tests.golden.authors.code import functions
from tests.golden.authors.pairs import CPU, Files
from tests.golden.authors.tensors import GROUP, Tensors

Y = "policy_rollout"


def pad_ppd(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    return _rankings(files, at, hp, "pd")


def pad_vpd(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    return _rankings(files, at, hp, "rd")


def _rankings(files: Files, at: Tensors, hp: dict[str, Any], loss_type: str) -> Tensor:
    """In micro-batches of one prompt, as their mixture of two distributions runs over the batch."""
    names = ("pd_loss", "plackett_luce_logprob", "jenson_shannon_divergence", "get_batch_logps")
    names = (*names, "plackett_luce_logprob_with_rankings")
    authors = functions(files["scripts/simpo_trainer.py"], *(f"SimPOTrainer.{name}" for name in names))
    trainer = SimpleNamespace(
        accelerator=CPU,
        beta=hp["beta"],
        loss_type=loss_type,
        **{name: vars(authors)[name] for name in names[1:]},
    )
    losses = []
    for i in at.examples:
        one = at.one(i)
        logps = authors.get_batch_logps(one.logits("policy", "group"), one.labels("group"))
        selection = torch.tensor(at.data["selection"][GROUP * i : GROUP * (i + 1)])
        losses.append(authors.pd_loss(trainer, logps[None], selection[None])[0])
    return torch.stack(losses).mean()


def pro(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """Given masks that end a token earlier: theirs counts the padding behind a response as a token of it."""
    args, found = SimpleNamespace(sft_weight=hp["sft_weight"]), []
    authors = functions(files["PRO/train/utils/process_manager.py"], "ProcessManager.compute_loss", args=args)
    best_first = torch.tensor(at.data["selection"]).view(-1, GROUP)[at.examples].sort(-1, descending=True)

    def ranked(x: Tensor) -> Tensor:
        x = x.view(len(at.examples), GROUP, -1)
        return x.gather(1, best_first.indices[..., None].expand_as(x))

    ids, labels = ranked(at.ids("group")), ranked(at.labels("group"))
    prompt = (labels == -100) & (ids != 0)
    inner = torch.nn.functional.pad(ids[..., 1:] != 0, (0, 1))  # without the last token
    batch = {
        "labels": ids,
        "input_ids": ids,
        "attention_mask": inner.long(),
        "prefix_mask": torch.nn.functional.pad(prompt[..., 1:], (0, 1)).long(),  # one less than the prompt
        "rewards": best_first.values,
        "sft_index": torch.zeros(len(ids), dtype=torch.long),
    }

    def model(input_ids: Tensor, **_: Any) -> SimpleNamespace:
        logits = at.model("policy", input_ids)
        return SimpleNamespace(logits=logits, hidden_states=[logits])

    manager = SimpleNamespace(accelerator=SimpleNamespace(backward=found.append))
    authors.compute_loss(manager, model, batch, [[] for _ in range(GROUP)])
    return found[0]


def minillm(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """The paper's form: not whitened, undiscounted, with the rewards of the tokens behind alone."""
    _, mask = at.answers(Y)
    rewards = at.logps("teacher", Y) - at.logps("old", Y)
    behind = [torch.nn.functional.pad(x[:, 1:], (0, 1)) for x in (rewards, mask)]
    return _reinforced(files, at, hp["clip"], 1.0, False, *behind)


def minillm_release(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """Whitened as in its several processes; rewards beyond the clip are cut as its sampler cuts them."""
    _, mask = at.answers(Y)
    rewards = (at.logps("teacher", Y) - at.logps("old", Y)) / hp["reward_scale"]
    rewards = rewards.clamp(-hp["reward_clip"], hp["reward_clip"])
    found = _reinforced(files, at, hp["clip"], hp["discount"], True, rewards, mask)
    return found + hp["lm_weight"] * _of_corpus(files, at, hp["kd_share"])


def _of_corpus(files: Files, at: Tensors, share: float) -> Tensor:
    """Its second part is a cross-entropy; less the teacher's entropy it is the KL."""
    authors = functions(files["minillm/minillm/losses.py"], "Loss.pt_loss")
    logits, teacher = (at.logits(role, "chosen")[:, :-1] for role in ("policy", "teacher"))
    trainer = SimpleNamespace(teacher_model=lambda **how: SimpleNamespace(logits=teacher))
    loss = SimpleNamespace(trainer=trainer, args=SimpleNamespace(model_parallel=False, kd_ratio=share))
    labels = at.labels("chosen")[:, 1:]
    entropy = torch.distributions.Categorical(logits=teacher[labels != -100].detach()).entropy().mean()
    return authors.pt_loss(loss, ({}, {"label": labels}), logits)[0] - share * entropy


def _reinforced(
    files: Files, at: Tensors, clip: float, gamma: float, whitened: bool, rewards: Tensor, counted: Tensor
) -> Tensor:
    """Its reverse KL of each step and its policy gradient; `counted` are the tokens of a reward's mean."""
    several = SimpleNamespace(
        is_initialized=lambda: True, all_reduce=lambda x, op: None, ReduceOp=SimpleNamespace(SUM=None)
    )
    names = ("get_entropy", "get_log_probs", "get_x_entropy", "whiten", "get_global_statistics")
    helpers = functions(files["minillm/minillm/utils.py"], *names, dist=several)
    methods = ("_get_advantages_and_returns", "_pg_loss", "_reg_loss")
    authors = functions(
        files["minillm/minillm/losses.py"], *(f"Loss.{name}" for name in methods), **vars(helpers)
    )
    tokens, mask = at.answers(Y)
    teacher, old = at.before("teacher", Y), at.logps("old", Y)
    loss = SimpleNamespace(
        args=SimpleNamespace(gamma=gamma, cliprange=clip, model_parallel=False),
        trainer=SimpleNamespace(compute_logits_and_log_probs=lambda *of, **how: teacher),
    )
    logits, no = at.before("policy", Y), torch.zeros_like(teacher, dtype=torch.bool)
    logprobs = helpers.get_log_probs(logits, tokens, mask, no)
    wide = mask.shape[1]
    gain = authors._get_advantages_and_returns(loss, rewards, wide, counted, use_whitening=whitened)
    step = authors._reg_loss(loss, None, None, mask, logits, no, {})
    return step + authors._pg_loss(loss, logprobs, old, gain, mask, torch.ones(1))


def ppo(files: Files, at: Tensors, hp: dict[str, Any], per_token: bool = True) -> Tensor:
    """OpenRLHF's, in micro-batches of one: it averages over each response."""
    root = "OpenRLHF/openrlhf/"
    helpers = functions(files[f"{root}models/utils.py"], "compute_approx_kl", "compute_reward", "masked_mean")
    policy = functions(files[f"{root}models/loss.py"], "PolicyLoss.forward", masked_mean=helpers.masked_mean)
    value = functions(files[f"{root}models/loss.py"], "ValueLoss.forward", masked_mean=helpers.masked_mean)
    experience = functions(
        files[f"{root}trainer/ppo_utils/experience_maker.py"],
        "NaiveExperienceMaker.get_advantages_and_returns",
    )
    (_, mask), old = at.answers(Y), at.logps("old", Y)
    values, old_values = (at.before(role, Y) @ at.value for role in ("policy", "old"))
    old_values = old_values.detach()
    reward = hp["beta"] * (at.logps("teacher", Y) - at.logps("teacher_ref", Y))
    kl = helpers.compute_approx_kl(old, at.logps("ref", Y), mask)
    reward = reward if per_token else reward.sum(-1)
    rewards = helpers.compute_reward(reward, hp["kl"], kl, mask)
    advantages, returns = experience.get_advantages_and_returns(
        None, old_values, rewards, mask, hp["discount"], hp["trace"]
    )
    clip, value_clip = SimpleNamespace(clip_eps=hp["clip"]), SimpleNamespace(clip_eps=hp["value_clip"])
    first = policy.forward(clip, at.logps("policy", Y), old, advantages, mask)
    return first + hp["value_weight"] * value.forward(value_clip, values, old_values, returns, mask)


def ppo_sequence(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    return ppo(files, at, hp, per_token=False)


def ppo_whitened(files: Files, at: Tensors, hp: dict[str, Any]) -> Tensor:
    """HALOs', whose value loss has no clip; the goal of the value is the returns of its advantages."""
    helpers = functions(
        files["train/utils.py"], "masked_mean", "masked_var", "rowwise_product", "entropy_from_logits"
    )
    names = ("PPOTrainer.compute_advantages", "PPOTrainer.loss", "BasicTrainer.get_ratios")
    authors = functions(files["train/trainers.py"], *names, **vars(helpers))
    loss = SimpleNamespace(
        gamma=hp["discount"],
        lam=hp["trace"],
        cliprange=hp["clip"],
        critic_coef=hp["value_weight"],
        KL_coef=0.0,
    )
    trainer = SimpleNamespace(
        accelerator=CPU, policy_dtype=torch.float64, config=SimpleNamespace(humanline=False, loss=loss)
    )
    trainer.get_ratios = lambda *logps: authors.get_ratios(trainer, *logps)
    (_, mask), old = at.answers(Y), at.logps("old", Y)
    values, old_values = (at.before(role, Y) @ at.value for role in ("policy", "old"))
    last = mask * (mask.cumsum(-1) == mask.sum(-1, keepdim=True))
    total = hp["beta"] * (at.logps("teacher", Y) - at.logps("teacher_ref", Y)).sum(-1, keepdim=True)
    advantages, returns, _ = authors.compute_advantages(trainer, old_values.detach(), last * total, mask)
    said = {"discounted_future_rewards": returns, "advantages": advantages, "logprobs": old, "masks": mask}
    logits = at.before("policy", Y)
    now = {"values": values, "logprobs": at.logps("policy", Y), "logits": logits}
    return authors.loss(trainer, said, now)[0]
