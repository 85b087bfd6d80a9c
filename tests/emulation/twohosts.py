"""Two hosts joined by one link, without a switch: what is between them is their adapters."""

from pathlib import Path
from typing import Any

from lab.unet.endpoint import Endpoint

DILATION = 10.0


def vc(number: int, name: str, label: int) -> dict[str, Any]:
    def hops(source: str, sink: str, label: int) -> list[dict[str, Any]]:
        return [
            {"node": source, "in_port": -1, "in_label": -1, "out_port": 0, "out_label": label},
            {"node": sink, "in_port": 0, "in_label": label, "out_port": -1, "out_label": -1},
        ]

    return {
        "id": number,
        "a": "n1",
        "a_endpoint": f"{name}.a",
        "b": "n2",
        "b_endpoint": f"{name}.b",
        "forward": hops("n1", "n2", label),
        "reverse": hops("n2", "n1", label + 1),
    }


def attach(directory: Path, host: str, name: str) -> Endpoint:
    return Endpoint.attach(name, str(directory / host / "unet.sock"))
