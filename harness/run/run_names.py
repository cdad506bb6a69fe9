"""What a run's folder is called: by its suite and what `--set` changes, so that none replaces another."""

import hashlib
import re
from collections.abc import Callable, Sequence

from harness.suite.schema import Suite

LONGEST = 60  # characters of the settings in a name
LEFT_OUT = re.compile(r"[\[\]{}'\" ]")
UNSAFE = re.compile(r"[^A-Za-z0-9._,=-]+")
# What changes no number, and the name itself; and what a run does not read.
NO_NUMBER = ("engine.checkpointing", "engine.offload", "track=", "name=")
NO_SETTING = (*NO_NUMBER, "tuning", "tuned=")


def named(
    given: Sequence[str],
    load: Callable[[Sequence[str]], Suite],
    ignored: tuple[str, ...] = NO_SETTING,
    more: Sequence[str] = (),
) -> tuple[Suite, list[str]]:
    """The suite with what is given, under the name of its results' folder, and what makes it another suite
    than without that, with `more` that tells results apart.
    """
    loaded = load(given)
    settings = [*changed(loaded, given, load, ignored), *more]
    if not any(setting.startswith("name=") for setting in given):
        loaded = loaded.model_copy(update={"name": run_name(loaded.name, settings)})
    return loaded, settings


def changed(
    loaded: Suite,
    overrides: Sequence[str],
    load: Callable[[Sequence[str]], Suite],
    ignored: tuple[str, ...] = NO_SETTING,
) -> list[str]:
    """The overrides that make it another suite than without them; `load` gives the suite with overrides."""
    kept = [o for o in overrides if not o.startswith(ignored)]
    return sorted(o for o in kept if _sets(o, overrides, loaded, load))


def _sets(one: str, overrides: Sequence[str], loaded: Suite, load: Callable[[Sequence[str]], Suite]) -> bool:
    try:
        return load([o for o in overrides if o is not one]) != loaded
    except ValueError:  # without it there is no such suite
        return True


def run_name(suite: str, changed: Sequence[str]) -> str:
    """pocket+DCKD.alpha=0.5 of the suite pocket with that setting; a hash stands behind what was cut."""
    if not changed:
        return suite
    words = "+".join(map(_short, changed))
    exact = len(words) <= LONGEST and not any(UNSAFE.search(LEFT_OUT.sub("", o)) for o in changed)
    digest = hashlib.sha256("\n".join(changed).encode()).hexdigest()[:6]
    return f"{suite}+{words}" if exact else f"{suite}+{words[:LONGEST].rstrip('+.,=-')}-{digest}"


def _short(override: str) -> str:
    """methods.DCKD.training.lr=[1e-3] as DCKD.lr=1e-3."""
    key, _, value = override.partition("=")
    parts = [p for p in key.split(".") if p not in ("methods", "training", "pairs", "datasets", "benchmarks")]
    return UNSAFE.sub("-", LEFT_OUT.sub("", f"{'.'.join(parts[-2:]) or key}={value}")).strip("-")
