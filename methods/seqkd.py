"""SeqKD: sequence-level knowledge distillation (Kim and Rush, 2016, arXiv 1606.07947, Eq. 9).

    L = - sum_t log pi_theta(y_T,t | x, y_T,<t) / sum_t 1,   y_T the teacher's own response

Teacher responses are greedy and come from the DPO teacher; those cut before their end of turn are left out.
Reduction: mean over the response tokens of the optimizer step.
"""

from dataclasses import dataclass

from methods.api import Method, Needs, Reads, Training, formula
from methods.batch import Batch, Terms
from methods.formulas import nll


@dataclass(frozen=True)
class SeqKD:
    """No hyper-parameters beside the optimizer's."""


@formula("methods.seqkd.loss")
def loss(batch: Batch, hp: SeqKD) -> Terms:
    return {"seqkd": nll(batch.teacher_rollout)}


METHOD = Method(
    name="SeqKD",
    paper="Kim and Rush, EMNLP 2016 (arXiv 1606.07947)",
    hparams=SeqKD(),
    # Not published for the ADPA table: SFT's setting on the teacher's responses.
    training=Training(lr=2e-5, epochs=3, source="ours: as SFT's"),
    sources={"loss": "paper: Kim and Rush, Eq. 9", "teacher_rollout": "ours: greedy, not a beam"},
    needs=lambda hp: Needs({"teacher_rollout": Reads(logps=("policy",))}),
    loss=loss,
)
