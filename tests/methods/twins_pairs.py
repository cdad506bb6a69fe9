"""Twins of the losses over pairs of responses."""

from typing import Any

from torch import Tensor

from tests.methods.twins import Response, Said, Terms, Token, buckets, lp, mean, nll, per_token, softplus


def ratio(y: Response) -> Tensor:
    return lp(y, "policy") - lp(y, "ref")


def margins(said: Said, w: str = "chosen", r: str = "rejected") -> list[Tensor]:
    return [ratio(a) - ratio(b) for a, b in zip(said.view(w), said.view(r), strict=True)]


def pairs(said: Said) -> list[tuple[Response, Response]]:
    return list(zip(said.view("chosen"), said.view("rejected"), strict=True))


def dpo(said: Said, hp: Any) -> Terms:
    found = margins(said, hp.preferred, hp.dispreferred)
    return {"dpo": mean([softplus(-hp.beta * h) for h in found])}


def cdpo(said: Said, hp: Any) -> Terms:
    found = [(1 - hp.eps) * softplus(-hp.beta * h) + hp.eps * softplus(hp.beta * h) for h in margins(said)]
    return {"cdpo": mean(found)}


def rdpo(said: Said, hp: Any) -> Terms:
    found = [(1 - hp.eps) * softplus(-hp.beta * h) - hp.eps * softplus(hp.beta * h) for h in margins(said)]
    return {"rdpo": mean(found) / (1 - 2 * hp.eps)}


def ipo(said: Said, hp: Any) -> Terms:
    return {"ipo": mean([(h - 1 / (2 * hp.beta)) ** 2 for h in margins(said)])}


def ipo_mean(said: Said, hp: Any) -> Terms:
    found = [ratio(w) / len(w) - ratio(r) / len(r) for w, r in pairs(said)]
    return {"ipo": mean([(h - 1 / (2 * hp.beta)) ** 2 for h in found])}


def gaps(said: Said) -> list[Tensor]:
    return [lp(w, "policy") / len(w) - lp(r, "policy") / len(r) for w, r in pairs(said)]


def simpo(said: Said, hp: Any) -> Terms:
    return {"simpo": mean([softplus(hp.margin - hp.beta * gap) for gap in gaps(said)])}


def simpo_release(said: Said, hp: Any) -> Terms:
    return {"simpo": mean([softplus(hp.beta * hp.ratio - hp.beta * gap) for gap in gaps(said)])}


def wpo(said: Said, hp: Any) -> Terms:
    every = []
    for w, r in pairs(said):
        weight = 1.0
        for y in (w, r):
            own = [t.policy[t.id].detach() - (t.policy.detach().exp() ** 2).sum().log() for t in y]
            weight = weight * mean(own).exp()
        every.append(min(1.0, float(weight)) * softplus(-hp.beta * (ratio(w) - ratio(r))))
    return {"wpo": mean(every)}


def plad(said: Said, hp: Any) -> Terms:
    y_t, y_s = said.view("teacher_rollout"), said.view("student_rollout")
    hinge = [
        (hp.delta - lp(t, "policy") + lp(s, "policy")).clamp(min=0) for t, s in zip(y_t, y_s, strict=True)
    ]
    return {"rank": mean(hinge), "sft": hp.sft_weight * nll(y_t)}


def reward(y: Response) -> Tensor:
    return lp(y, "teacher") - lp(y, "teacher_ref")


def ddpo_unscaled(said: Said, hp: Any) -> Terms:
    rewards = [reward(w) - reward(r) for w, r in pairs(said)]
    errors = [(hp.reward_scale * r - hp.beta * h) ** 2 for r, h in zip(rewards, margins(said), strict=True)]
    return {"ddpo": mean(errors)}


def ddpo(said: Said, hp: Any) -> Terms:
    rewards = [reward(w) - reward(r) for w, r in pairs(said)]
    size = mean([r**2 for r in rewards]) ** 0.5
    errors = [
        (hp.reward_scale * r / size - hp.beta * h) ** 2 for r, h in zip(rewards, margins(said), strict=True)
    ]
    return {"ddpo": mean(errors)}


def dpkd(said: Said, hp: Any) -> Terms:
    every = []
    for t, s in zip(said.view("teacher_rollout"), said.view("student_rollout"), strict=True):
        over = [(lp(y, "policy") - lp(y, "teacher")) / len(y) for y in (t, s)]
        every.append(softplus(-hp.beta * (over[0] - over[1])))
    return {"dpkd": mean(every), "sft": hp.sft_weight * nll(said.view("chosen"))}


def dadpo(said: Said, hp: Any) -> Terms:
    total = hp.beta_ref + hp.beta_teacher

    def logit(y: Response) -> Tensor:
        anchors = hp.beta_ref * lp(y, "ref") + hp.beta_teacher * lp(y, "teacher")
        return total * lp(y, "policy") - anchors

    pairs = zip(said.view("teacher_rollout"), said.view("student_rollout"), strict=True)
    return {"dadpo": mean([softplus(logit(s) - logit(t)) for t, s in pairs])}


def kto(said: Said, hp: Any) -> Terms:
    z0 = max(0.0, float(mean([ratio(y) for y in said.view("mismatched")]).detach()))
    desirable = [1 - 1 / (1 + (-hp.beta * (ratio(y) - z0)).exp()) for y in said.view("chosen")]
    undesirable = [1 - 1 / (1 + (-hp.beta * (z0 - ratio(y))).exp()) for y in said.view("rejected")]
    return {
        "desirable": hp.desirable * mean(desirable) / 2,
        "undesirable": hp.undesirable * mean(undesirable) / 2,
    }


def log_odds(y: Response) -> Tensor:
    p = (lp(y, "policy") / len(y)).exp()
    return (p / (1 - p)).log()


def orpo(said: Said, hp: Any) -> Terms:
    odds = mean([softplus(log_odds(r) - log_odds(w)) for w, r in pairs(said)])
    return {"sft": nll(said.view("chosen")), "odds": hp.weight * odds}


def drift(y: Response) -> Tensor:
    return sum((t.ref.exp() * (t.ref - t.policy)).sum() for t in y)


def tdpo(said: Said, hp: Any) -> Terms:
    every = [
        softplus(-hp.beta * h + hp.alpha * hp.beta * (drift(r) - drift(w).detach()))
        for (w, r), h in zip(pairs(said), margins(said), strict=True)
    ]
    return {"tdpo": mean(every)}


def shaped(y: Response, gamma: float, value: Any) -> Tensor:
    """Log-probs, each with the value of the state that its token leads to; none behind the last."""
    values = [value(t) for t in y[1:]] + [0.0]
    return sum(t.policy[t.id] - gamma * v for t, v in zip(y, values, strict=True))


def tvkd(said: Said, hp: Any) -> Terms:
    def value(t: Token) -> Tensor:
        return hp.tau * sum(p ** (hp.alpha / hp.tau) for p in buckets(t, t.teacher)).log()

    gap = [shaped(w, hp.gamma, value) - shaped(r, hp.gamma, value) for w, r in pairs(said)]
    return {"tvkd": mean([softplus(-g) for g in gap])}


def tvkd_entropy(said: Said, hp: Any) -> Terms:
    def value(t: Token) -> Tensor:
        return sum(-p.exp() * p for p in t.policy)

    gap = [shaped(w, hp.gamma, value) - shaped(r, hp.gamma, value) for w, r in pairs(said)]
    return {"tvkd": mean([softplus(-g) for g in gap])}


def dpkd_token(said: Said, hp: Any) -> Terms:
    def preferred(t: Any) -> Tensor:
        a_t, a_s = int(t.teacher.argmax()), int(t.policy.argmax())
        h = (t.policy[a_t] - t.policy[a_s]) - (t.teacher[a_t] - t.teacher[a_s])
        return softplus(-hp.beta * h)

    y_w = said.view("chosen")
    return {"sft": (1 - hp.kd_ratio) * nll(y_w), "dpkd": hp.kd_ratio * per_token(y_w, preferred)}


TWINS = {
    "methods.dpo.loss": dpo,
    "methods.smoothed_dpo.cdpo_loss": cdpo,
    "methods.smoothed_dpo.rdpo_loss": rdpo,
    "methods.ipo.loss": ipo,
    "methods.ipo.mean_loss": ipo_mean,
    "methods.simpo.loss": simpo,
    "methods.simpo.release_loss": simpo_release,
    "methods.wpo.loss": wpo,
    "methods.plad.loss": plad,
    "methods.ddpo.loss": ddpo,
    "methods.ddpo.unscaled_loss": ddpo_unscaled,
    "methods.dpkd.loss": dpkd,
    "methods.dpkd.token_loss": dpkd_token,
    "methods.dadpo.loss": dadpo,
    "methods.kto.loss": kto,
    "methods.orpo.loss": orpo,
    "methods.tdpo.loss": tdpo,
    "methods.tvkd.loss": tvkd,
    "methods.tvkd.entropy_loss": tvkd_entropy,
}
