"""The published JSON schema of scenario files.

``python -m lab.scenarios.schema`` writes ``scenarios/schema.json``; a test keeps it current.
"""

from __future__ import annotations

import json

from pydantic.json_schema import models_json_schema

from lab.paths import SCENARIOS
from lab.scenarios.model import Scenario
from lab.scenarios.stack_model import StackScenario

SCHEMA_PATH = SCENARIOS / "schema.json"


def schema_text() -> str:
    """The schema as it belongs into the file."""
    _, definitions = models_json_schema(
        [(Scenario, "validation"), (StackScenario, "validation")], by_alias=True
    )
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Scenario",
        "type": "object",
        "if": {"required": ["stack"]},
        "then": {"$ref": "#/$defs/StackScenario"},
        "else": {"$ref": "#/$defs/Scenario"},
        **definitions,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
