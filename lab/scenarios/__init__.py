"""Scenario files: what they may say, how they are read, and what follows from them."""

from lab.fabric.params import FabricParams
from lab.scenarios.loader import ScenarioEntry, list_scenarios, load_scenario, scenario_path
from lab.scenarios.model import Pass, Scenario, Stream
from lab.scenarios.plan import EndpointPlan, Step, endpoint_plans, steps, vc_requests

__all__ = [
    "EndpointPlan",
    "FabricParams",
    "Pass",
    "Scenario",
    "ScenarioEntry",
    "Step",
    "Stream",
    "endpoint_plans",
    "list_scenarios",
    "load_scenario",
    "scenario_path",
    "steps",
    "vc_requests",
]
