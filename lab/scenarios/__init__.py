"""Scenario files: what they may say, how they are read, and what follows from them."""

from lab.fabric.params import FabricParams
from lab.scenarios.loader import (
    AnyScenario,
    ScenarioEntry,
    is_of_stack,
    list_scenarios,
    load_any,
    load_scenario,
    scenario_names,
    scenario_path,
)
from lab.scenarios.model import Pass, Scenario, Stream
from lab.scenarios.plan import EndpointPlan, Step, endpoint_plans, steps, vc_requests
from lab.scenarios.stack_model import StackScenario

__all__ = [
    "AnyScenario",
    "EndpointPlan",
    "FabricParams",
    "Pass",
    "Scenario",
    "ScenarioEntry",
    "StackScenario",
    "Step",
    "Stream",
    "endpoint_plans",
    "is_of_stack",
    "list_scenarios",
    "load_any",
    "load_scenario",
    "scenario_names",
    "scenario_path",
    "steps",
    "vc_requests",
]
