"""The steps that put models into the store: the pocket world with its tokenizer, links to what lies outside,
and random weights to pretrain.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from harness.common import data_folder
from harness.common.cost import Cost, ModelSize
from harness.common.input import weight_files
from harness.common.tokenizer import load_tokenizer, vocabulary
from harness.models import weights
from harness.models.weights import content_hash, fetch
from harness.pocket.build import World, build
from harness.store.step import NoInputs, Ref, Sizes, Source, Step, StepKind, Work
from harness.store.step_record import optional

TRUSTED = "pickled_weights"  # of a link's context: whether weights may be pickles
# Types of models that the trial of generation finds to take no cache of keys and values.
WITHOUT_CACHE = frozenset(
    {"mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm", "recurrent_gemma", "zamba", "zamba2", "minimax"}
    | {"openai-gpt"}
)


@dataclass(frozen=True)
class LinkSettings:
    """What lies outside: the kind of folder, and the hash of its content or its hub commit.

    without_cache: a model of a type in WITHOUT_CACHE. Such were once decoded with one, so that their answers
    did not see what stood before: whatever stands on one has other ids than then.
    """

    kind: str
    fingerprint: str
    without_cache: bool = optional(False)


@dataclass(frozen=True)
class InitSettings:
    """The sizes of a Llama."""

    hidden: int
    layers: int
    heads: int
    ffn: int
    rope_theta: float
    initializer_range: float
    positions: int
    seed: int


@dataclass(frozen=True)
class InitInputs(Generic[Ref]):
    tokenizer: Ref


def run_world(work: Work[World, NoInputs]) -> dict[str, Any]:
    """The step that generates the pocket world: its texts, dialogues, preferences, questions and
    tokenizer.
    """
    return dict(build(work.settings, work.out))


def run_link(work: Work[LinkSettings, NoInputs]) -> dict[str, Any]:
    """The step that puts what lies outside into the store: links to a model's files, or to a data folder."""
    source = fetch(work.context["path"])
    if work.settings.kind == "data":
        (work.out / "files").symlink_to(source.resolve())  # whole: the record must not stand among its files
        return {"source": str(source)}
    # Both fail here rather than after hours.
    load_tokenizer(source)
    trusted = bool(work.context.get(TRUSTED))
    weights.check(source, trusted=trusted)
    pickles = weights.pickled(source) if trusted else []
    if pickles:
        weights.converted(source, work.out)
    for path in sorted(source.iterdir()):
        if path not in pickles and path.name != f"{weights.PICKLED}{weight_files.INDEX}":
            (work.out / path.name).symlink_to(path.resolve())
    if pickles:
        weight_files.check_values(work.out)
    return {"source": str(source)}


def _strayed(step: Step[LinkSettings, NoInputs], folder: Path) -> str:
    """Why links no longer lead to what the step's id says, "" where they do: data that moved may have left
    something else in their place.
    """
    named = Path(str(step.context["path"]))
    if not named.is_dir():  # of the hub, whose caches hold one commit in one place
        return ""
    links = [p for p in folder.iterdir() if p.is_symlink()]
    of_data = step.settings.kind == "data"
    # What lies where the suite says has been looked at for the id.
    if all(p.resolve() == (named if of_data else named / p.name).resolve() for p in links):
        return ""
    now = data_folder.fingerprint(links[0]) if of_data else content_hash(links)
    moved = f"{links[0].name} leads to {links[0].readlink()}, which is not what it was"
    return "" if now == step.settings.fingerprint else moved


def run_init(work: Work[InitSettings, InitInputs[Path]]) -> dict[str, Any]:
    """The step that draws a random Llama of the given sizes for the world's tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from harness.models.loading import save

    size, tokenizer = work.settings, load_tokenizer(work.inputs.tokenizer)
    config = LlamaConfig(
        vocab_size=vocabulary(tokenizer, work.inputs.tokenizer),
        hidden_size=size.hidden,
        intermediate_size=size.ffn,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=size.positions,
        rope_parameters={"rope_type": "default", "rope_theta": size.rope_theta},
        initializer_range=size.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    # transformers draws initial weights from the global generator.
    with torch.random.fork_rng():
        torch.manual_seed(size.seed)
        model = LlamaForCausalLM(config)
    save(model, tokenizer, work.out)
    return {"parameters": model.num_parameters()}


def _init_size(step: Step[InitSettings, InitInputs[Source]], sizes: Sizes) -> ModelSize:
    size, vocab = step.settings, int(sizes.typical("world")["vocabulary"])
    return ModelSize(
        family="llama",
        hidden=size.hidden,
        layers=size.layers,
        ffn=size.ffn,
        heads=size.heads,
        kv=size.heads,
        head_dim=size.hidden // size.heads,
        vocab=vocab,
        tied=True,
        notes=(f"a vocabulary of {vocab} words",),
    )


def _init_cost(step: Step[InitSettings, InitInputs[Source]], sizes: Sizes) -> Cost:
    """A model written in float32."""
    model = sizes.model(step)
    return Cost(disk=4.0 * model.parameters, assumed=model.notes)


def _link_size(step: Step[LinkSettings, NoInputs], sizes: Sizes) -> ModelSize:
    return sizes.model_at(str(step.context["path"]))


WORLD = StepKind("world", World, NoInputs, "harness.models.prepare:run_world")
# What a hub id takes is downloaded beside the store, so a link costs nothing in it.
LINK = StepKind(
    "link", LinkSettings, NoInputs, "harness.models.prepare:run_link", 2, model=_link_size, damage=_strayed
)
INIT = StepKind(
    "init", InitSettings, InitInputs, "harness.models.prepare:run_init", cost=_init_cost, model=_init_size
)
