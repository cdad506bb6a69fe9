"""Methods from outside the tree: the file named by `--method-file`, whose code is called here alone."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from functools import wraps
from inspect import iscoroutinefunction, isfunction
from typing import Any

import methods
from harness.common.text import cut
from harness.suite.extension_file import called, defined_in, ended
from harness.suite.schema import OTHERS, UNTRAINED, Suite, check_row_names
from harness.suite.training import MethodRecipe
from harness.suite.validation import LONGEST, Name, in_range, parts, validated
from methods.api import Method, Needs, Reads, Stats, Training, formula
from methods.batch import Batch, Terms
from methods.lazy_torch import torch

SAMPLED = "teacher_rollout", "student_rollout"  # the views that `distinct` compares


def methods_in(path: str | None) -> tuple[Method, ...]:
    """Every `Method` that a Python file defines at its top level; none without a file."""
    own = defined_in(path, (Method, Method), "Method (METHOD = Method(...))")
    taken = {method.name for method in methods.registry().values()}
    for method in own:
        with ended(str(path), f"{method.name}'s needs"):
            _check(method, str(path))
        if method.name in taken:
            raise ValueError(f"{path}: there is a method {method.name!r} already; choose another name")
        taken.add(method.name)
    return tuple(_guarded(method, str(path)) for method in own)


def with_rows(suite: Suite, own: Sequence[Method], only: Sequence[str]) -> Suite:
    """The suite with a file's methods as rows; with `only` these are named like any other."""
    if not own or only:
        return suite
    rows = {**dict.fromkeys(m.name for m in own), **suite.methods}
    check_row_names(suite, rows)
    return suite.model_copy(update={"methods": rows})


def method_of(name: str, path: str | None) -> Method:
    """The method of that name, of the registry or of the file."""
    return methods.get(name, methods.registry(methods_in(path)))


def _check(method: Method, path: str) -> None:
    """ValueError for a part that is of another type than `Method` says, or that no loop could call."""
    name = method.name
    if not isinstance(name, str):  # pydantic takes bytes for one
        raise ValueError(f"{path}: name: given {cut(repr(name))}; a text")
    validated(Name, name, path, "name of a method")
    # --only has commas between names, and an option begins with a dash.
    if "," in name or name.startswith("-"):
        raise ValueError(f"{path}: name: given {name!r}; a name without commas that begins with no dash")
    if name.lower() in (*map(str.lower, UNTRAINED), OTHERS):
        raise ValueError(f"{path}: name: given {name!r}; tables have a row of that name, choose another one")
    validated(Method, vars(method), path, name)
    if not isinstance(method.training, Training):
        raise ValueError(f"{path}: {name}.training: given {method.training!r}; a Training(...)")
    # Of a partial or an object two may differ where their names do not, and ids are made of names.
    if not isfunction(method.loss):
        raise ValueError(
            f"{path}: {name}.loss: given {cut(repr(method.loss))}; a function, by `def` or `lambda`"
        )
    for part, value in vars(method).items():
        if iscoroutinefunction(value):
            raise ValueError(f"{path}: {name}.{part}: given an `async def`; a plain function")
    _check_hparams(method, path)
    needs = called(method.needs, path, f"{name}'s needs")(method.hparams)
    if not isinstance(needs, Needs):
        raise ValueError(f"{path}: {name}.needs: it returns {cut(repr(needs))}; a Needs(...)")
    in_range(needs, f"{path}: {name}.needs")
    for view, reads in needs.views.items():
        in_range(reads, f"{path}: {name}.needs.{view}")
    _needs(method, path)(method.hparams)


def _needs(method: Method, path: str) -> Callable[[Any], Needs]:
    """The method's `needs`, of which each answer is one that a training can be made of."""
    where, of = f"{path}: {method.name}.needs", called(method.needs, path, f"{method.name}'s needs")

    @wraps(method.needs)
    def checked(hp: Any) -> Needs:
        needs: Needs = of(hp)
        if not needs.views:
            raise ValueError(f"{where}: it names no view, so there is nothing to learn from")
        for view, reads in needs.views.items():
            _check_reads(reads, view, f"{where}.{view}")
        for named, part, made in (
            ("group", "group", needs.group),
            ("policy_rollout", "online", needs.online),
        ):
            if (named in needs.views) != (made is not None):
                raise ValueError(f"{where}: the view {named} and `{part}` go together")
        if needs.group and needs.group.keep > needs.group.samples:
            raise ValueError(
                f"{where}.group: keep {needs.group.keep} of {needs.group.samples} samples; fewer"
            )
        if needs.distinct and (missing := [view for view in SAMPLED if view not in needs.views]):
            raise ValueError(f"{where}: distinct compares {' and '.join(SAMPLED)}; no view {missing[0]}")
        return needs

    return checked


def _check_reads(reads: Reads, view: str, where: str) -> None:
    """ValueError for what no step makes of a view."""
    if reads.scores and view != "group":
        raise ValueError(f"{where}: scores: given {reads.scores[0]}; the view group alone has scores")
    if "old" in (*reads.logps, *reads.values) and view != "policy_rollout":
        raise ValueError(
            f"{where}: reads `old`, the policy when it sampled: of the view policy_rollout alone"
        )
    for stat in reads.stats:
        if odd := [role for role in stat.reads if role in ("policy", "old")]:
            told = "the policy is always there, and of `old` no distribution is kept"
            raise ValueError(f"{where}: the statistic {stat.name} names {odd[0]}: {told}")


def _check_hparams(method: Method, path: str) -> None:
    """ValueError for settings that are no frozen dataclass of what a suite can say."""
    hp, where = method.hparams, f"{path}: {method.name}"
    if not is_dataclass(hp) or isinstance(hp, type) or not hp.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise ValueError(f"{where}.hparams: given {cut(repr(hp))}; an instance of a frozen dataclass")
    held = parts(hp)
    if alone := [field.name for field in fields(hp) if not field.init]:
        raise ValueError(f"{where}.{alone[0]}: a field that is set by itself (init=False) is no setting")
    for key in held.keys() & MethodRecipe.model_fields.keys():
        raise ValueError(f"{where}.{key}: a suite says by it how a row trains; another name")
    for key, value in held.items():
        try:
            json.dumps(value, default=asdict)
        except (TypeError, ValueError) as e:
            allowed = "a number, a text, true, false, or a list of them"
            raise ValueError(f"{where}.{key}: given {cut(repr(value))}; {allowed}") from e
    validated(type(hp), held, path, method.name)


def _guarded(method: Method, path: str) -> Method:
    """The method with functions whose faults are lines."""
    name = method.name

    def stats(of: Stats | None, what: str) -> Stats | None:
        return of and called(of, path, f"{name}'s {what}")

    loss = formula(method.formula)(_checked(called(method.loss, path, f"{name}'s loss"), f"{path}: {name}"))
    return replace(
        method,
        loss=loss,
        needs=_needs(method, path),
        training=_training(method.training, f"{path}: {name}.training"),
        step_stats=stats(method.step_stats, "step_stats"),
        set_stats=stats(method.set_stats, "set_stats"),
        watch=stats(method.watch, "watch"),
        start_stats=stats(method.start_stats, "start_stats"),
        at_start=method.at_start and called(method.at_start, path, f"{name}'s at_start"),
    )


def _training(given: Training, where: str) -> Training:
    """The same with the types that `Training` says: a mapping for LoRA(...) and lists are taken for such."""
    try:
        made: Training = validated(Training, asdict(given), where)
    except ValueError:  # told with what the suite says of it, by its key
        return given
    return given if made == given else made  # 1 stays 1 where 1.0 would do: ids are made of it


def _checked(loss: Callable[[Batch, Any], Terms], where: str) -> Callable[[Batch, Any], Terms]:
    @wraps(loss)
    def checked(batch: Batch, hp: Any) -> Terms:
        terms = loss(batch, hp)
        if not isinstance(terms, dict) or not terms:
            given = "nothing" if terms is None or terms == {} else type(terms).__name__
            allowed = "it returns scalar tensors by name, such as {'dpo': ...}"
            raise ValueError(f"{where}'s loss returns {given}; {allowed}")
        for name, value in terms.items():
            if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LONGEST:
                allowed = f"a printable text of 1 to {LONGEST} characters"
                raise ValueError(f"{where}'s loss: the name {cut(repr(name))} of a term; {allowed}")
            if not isinstance(value, torch.Tensor) or value.shape:
                shape = list(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
                raise ValueError(f"{where}'s loss: the term {name!r} is no scalar tensor but {shape}")
            if value.is_complex() or value.is_meta:
                kind = "complex" if value.is_complex() else "of the device meta"
                raise ValueError(f"{where}'s loss: the term {name!r} is {kind}; a real number")
        if torch.is_grad_enabled() and not any(value.requires_grad for value in terms.values()):
            raise ValueError(f"{where}'s loss has no gradient: nothing of it comes from the policy")
        return terms

    return checked
