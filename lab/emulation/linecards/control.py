"""The operations that the lab can ask the line cards for, one JSON line each.

=========  ==============================================================================
configure  dilation, quantum_us, params, nodes, links: build the fabric (once)
host       name, netns_inode, dir: open that host's U-Net service
endpoint   host, name, segment: make an endpoint, with other queue sizes than usual
vcs        vcs: open VCs with their channels
close      ids: close VCs
hold       tell endpoints that no pass has begun
pass       flow_control, epoch_ns, end_ns, sample_ns, name, params, costs, seed: begin a pass;
           without end_ns its virtual time never stands still; without params, costs or seed it
           has those of ``configure``, none, and that of ``configure``
cut        node, port, cut: stop or start both directions of a link
stats      totals so far, and who is attached
snapshot   the fabric at this moment, for whoever watches
dump       dir, prefix: write series and counters
stop       end the process
=========  ==============================================================================
"""

from collections.abc import Callable
from pathlib import Path
from selectors import BaseSelector
from typing import Any

from lab._native import lib
from lab.emulation.linecards.network import EndpointKey, Network, PassSetting
from lab.emulation.linecards.record import write_record
from lab.emulation.linecards.service import Service
from lab.emulation.linecards.snapshot import snapshot
from lab.errors import LabError
from lab.fabric.adapter import AdapterCosts
from lab.fabric.params import FabricParams
from lab.fabric.setup import FLOW_CONTROL
from lab.unet.segment import Geometry

Answer = dict[str, Any]


class Control:
    """Carries out operations on the network and the U-Net services."""

    def __init__(self, selector: BaseSelector) -> None:
        self._selector = selector
        self.network: Network | None = None
        self._configured = FabricParams()
        self._service: Service | None = None
        self.stopping = False
        self._passes = 0
        self._pass_name = ""

    def handle(self, request: dict[str, Any]) -> Answer:
        """Do one operation.

        Raises:
            LabError: it cannot be done.
        """
        operations: dict[str, Callable[..., Answer | None]] = {
            "configure": self._configure,
            "host": self._host,
            "endpoint": self._endpoint,
            "vcs": self._vcs,
            "close": self._close,
            "hold": self._hold,
            "pass": self._begin_pass,
            "cut": self._cut,
            "stats": self._stats,
            "snapshot": self._snapshot,
            "dump": self._dump,
            "stop": self._stop,
        }
        op = str(request.pop("op", None))
        if op not in operations:
            raise LabError(f"no operation {op!r}; there are {', '.join(operations)}")
        try:
            return operations[op](**request) or {}
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise LabError(f"{type(error).__name__}: {error}") from error

    @property
    def _net(self) -> Network:
        if self.network is None:
            raise LabError("the line cards are not configured yet")
        return self.network

    @property
    def _unet(self) -> Service:
        if self._service is None:
            raise LabError("the line cards are not configured yet")
        return self._service

    def _configure(  # the words of the operation are its parameters
        self,
        dilation: float,
        params: dict[str, Any],
        nodes: list[dict[str, Any]],
        links: list[dict[str, Any]],
        quantum_us: int,
        **more: Any,
    ) -> None:
        if self.network is not None:
            raise LabError("the line cards are configured already")
        self._configured = FabricParams(**params)
        network = Network(self._configured, dilation, quantum_us, int(more.get("seed", 1)))
        network.add_nodes(nodes)
        network.add_links(links)
        error = lib.lc_open(network.cards)
        if error:
            raise LabError(f"the packet sockets cannot be opened: {OSError(-error)}")
        self.network = network
        self._service = Service(network, self._selector)

    def _host(self, name: str, dir: str, netns_inode: int | None = None, **_: Any) -> None:
        if name not in self._net.nodes:
            raise LabError(f"no host is called {name!r}")
        self._unet.open_host(name, netns_inode, Path(dir))

    def _endpoint(self, host: str, name: str, segment: dict[str, int] | None = None) -> None:
        key = EndpointKey(host, name)
        self._net.add_endpoint(key)
        if segment:
            self._unet.geometry[key] = Geometry(**segment)

    def _vcs(self, vcs: list[dict[str, Any]]) -> None:
        for vc in vcs:
            self._net.add_vc(vc)

    def _close(self, ids: list[int]) -> None:
        for number in ids:
            self._net.close_vc(number)

    def _hold(self) -> None:
        lib.lc_hold(self._net.cards)

    def _begin_pass(  # the words of the operation are its parameters
        self,
        flow_control: str,
        epoch_ns: int,
        end_ns: int | None = None,
        sample_ns: int = 0,
        name: str = "",
        **setting: Any,
    ) -> Answer:
        if flow_control not in FLOW_CONTROL:
            raise LabError(f"flow_control is one of {', '.join(FLOW_CONTROL)}, not {flow_control}")
        params, costs = setting.get("params"), setting.get("costs") or {}
        chosen = PassSetting(
            flow_control,
            self._configured if params is None else FabricParams(**params),
            AdapterCosts(**costs),
            int(setting.get("seed", self._net.seed)),
        )
        self._net.begin_pass(chosen, epoch_ns, end_ns, sample_ns)
        self._passes += 1
        self._pass_name = name
        return {"name": name}

    def _cut(self, node: str, port: int, cut: bool) -> None:
        index = self._net.ports[node, port]
        fabric = self._net.fabric
        here, peer = fabric.port[index].node, fabric.port[index].peer
        for other in range(fabric.ports):
            ends = (fabric.port[other].node, fabric.port[other].peer)
            if other == index or ends == (peer, here):
                lib.lc_cut(self._net.cards, other, cut)

    def _stats(self) -> Answer:
        stats = self._net.stats()
        ended = ("delivered", "dropped_endpoint", "pdu_discarded_missing", "pdu_discarded_crc")
        return {
            **stats,
            "attached": self._unet.attached(),
            "in_switches": stats["into_switches"] - stats["out_of_switches"],
            "in_flight": stats["sent"] - sum(stats[name] for name in ended),
        }

    def _snapshot(self) -> Answer:
        return {
            "pass_number": self._passes,
            "pass_name": self._pass_name,
            **snapshot(self._net),
        }

    def _dump(self, dir: str, prefix: str) -> None:
        write_record(self._net, self._unet, Path(dir), prefix)

    def _stop(self) -> None:
        self.stopping = True
