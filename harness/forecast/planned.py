"""The estimate of a plan on the device that the options name, else on this machine's."""

from harness.endpoints.prices import Prices
from harness.executors.options import Machine, RunOptions
from harness.forecast.cards import CPU, this_device
from harness.forecast.fitting import fitted
from harness.forecast.forecast import Device, Forecast, device_named, forecast
from harness.forecast.sizes import PlanSizes
from harness.plan.plan import Plan
from harness.store.store import Store


def forecast_of(plan: Plan, store: Store, where: Machine, options: RunOptions, table: Prices) -> Forecast:
    """What a plan takes."""
    return forecast(plan, PlanSizes(plan.suite, where, store, table), _device(options))


def fit(plan: Plan, store: Store, where: Machine, options: RunOptions, table: Prices) -> Plan:
    """The plan with its trainings as they fit the GPUs that there are; on CPUs as it is."""
    device = _device(options)
    return plan if device.name == CPU else fitted(plan, PlanSizes(plan.suite, where, store, table), device)


def _device(options: RunOptions) -> Device:
    return device_named(options.device) if options.device else this_device()
