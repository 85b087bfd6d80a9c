"""How everything that a lab makes bears the lab's label, and what its things are called.

Clean-up removes what bears a label of the form ``lab-1a2b3c`` and nothing else:

========== =================================================================
bridge     ``external_ids:lab=<lab_id>`` in Open vSwitch's database
veth       interface group made from the id (from birth), alias ``lab:<lab_id>``
tap        alias ``lab:<lab_id>``: the interface that Open vSwitch makes for a bridge
namespace  alias ``lab:<lab_id>`` of its loopback interface
container  Docker label ``lab=<lab_id>``
process    ``LAB_ID=<lab_id>`` in its environment, inherited by its children
files      below ``/run/lab/<lab_id>/``
========== =================================================================
"""

import re
import secrets
from pathlib import Path

RUN_ROOT = Path("/run/lab")
CARDS_NETNS = "lab-cards"
ENV_LAB_ID = "LAB_ID"
KEY = "lab"
"""The key of Docker labels and of ``external_ids``."""

_LAB_ID = re.compile(r"lab-[0-9a-f]{6}")
_GROUP_BASE = 0x4C000000


def new_lab_id() -> str:
    """Draw an id for a new lab."""
    return f"lab-{secrets.token_hex(3)}"


def is_lab_id(text: str) -> bool:
    """Tell whether the text is the id of a lab of ours."""
    return _LAB_ID.fullmatch(text) is not None


def lab_dir(lab_id: str) -> Path:
    """Return the run-time directory of a lab."""
    return RUN_ROOT / lab_id


def host_dir(lab_id: str, host: str) -> Path:
    """Return a host's own directory, seen at the same path from inside its container."""
    return lab_dir(lab_id) / "hosts" / host


def shared_dir(lab_id: str) -> Path:
    """Return the directory that all containers of a lab may see, at the same path."""
    return lab_dir(lab_id) / "shared"


def unet_socket(lab_id: str, host: str) -> Path:
    """Return where a host's programs reach their adapter's U-Net service."""
    return host_dir(lab_id, host) / "unet.sock"


def bridge_name(switch: str) -> str:
    """Return the name of a switch's OVS bridge."""
    return f"lab-{switch}"


def switch_interface(switch: str, port: int) -> str:
    """Return the interface of a switch's port that is plugged into OVS."""
    return f"lab-{switch}-p{port}"


def card_interface(switch: str, port: int) -> str:
    """Return the other end of that port's veth pair, in the line cards' namespace."""
    return f"{switch}-p{port}"


def container_name(host: str) -> str:
    """Return the name of a host's container."""
    return f"lab-{host}"


def alias_of(lab_id: str) -> str:
    """Return the interface alias that labels an interface."""
    return f"lab:{lab_id}"


def lab_of_alias(alias: str) -> str | None:
    """Return the lab that an interface alias names, None when it is no label of ours."""
    prefix, _, lab_id = alias.partition(":")
    return lab_id if prefix == "lab" and is_lab_id(lab_id) else None


def group_of(lab_id: str) -> int:
    """Return the interface group that a lab's veths are born into."""
    return _GROUP_BASE | int(lab_id.removeprefix("lab-"), 16)


def lab_of_group(group: int) -> str | None:
    """Return the lab that an interface group names, None when it is not one of ours."""
    return f"lab-{group & 0xFFFFFF:06x}" if group >> 24 == _GROUP_BASE >> 24 else None


def host_environment(lab_id: str, host: str) -> dict[str, str]:
    """Return what every program on a host finds in its environment."""
    return {
        ENV_LAB_ID: lab_id,
        "LAB_HOST": host,
        "LAB_UNET_SOCKET": str(unet_socket(lab_id, host)),
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
