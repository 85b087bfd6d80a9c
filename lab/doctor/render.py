"""Checks as text for a terminal, and as JSON for programs."""

import json
from collections.abc import Sequence

from lab.doctor.checks import Check


def render(checks: Sequence[Check]) -> str:
    """One line a check, the remedy below each that failed, and a closing line."""
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        lines.append(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<{width}}  {check.detail}")
        if not check.ok:
            lines.append(f"      {'':<{width}}  remedy: {check.remedy}")
    failed = sum(not check.ok for check in checks)
    lines.append(
        f"{failed} of {len(checks)} checks failed" if failed else "this machine can run labs"
    )
    return "\n".join(lines)


def to_json(checks: Sequence[Check]) -> str:
    """All checks as a JSON array of objects: name, ok, value, needed, remedy."""
    return json.dumps([check.as_dict() for check in checks], indent=2, ensure_ascii=False)
