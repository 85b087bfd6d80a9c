"""Effects: what a core changes of its node outside of itself.

=================  ===============================================================================
``address-up``     ``name``: take over an address (:mod:`lab.shell.plan` says which there are)
``address-down``   ``name``: give it up
``program-start``  ``name``, ``program``, ``options``: see :mod:`lab.shell.programs`; it is over
                   when the program could not be started, or ended by itself
``program-stop``   ``name``
``http-get``       ``address``, ``port``, ``timeout_s``: ask a service once; the detail is what it
                   answers
=================  ===============================================================================

An effect that is refused is over at once, with the reason as its detail.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from lab.errors import LabError
from lab.shell.addresses import Addresses
from lab.shell.http_client import http_get
from lab.shell.programs import Programs
from lab.stacks.core import Effect, EffectDone


class Effects:
    """Carries out a node's effects.

    Args:
        dilation: real seconds a virtual second.
        on_done: takes the outcomes.
        spawn: runs something beside the rest.
    """

    def __init__(
        self,
        addresses: Addresses,
        programs: Programs,
        dilation: float,
        *,
        on_done: Callable[[EffectDone], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._addresses = addresses
        self._programs = programs
        self._dilation = dilation
        self._on_done = on_done
        self._spawn = spawn

    def start(self, effect: Effect) -> None:
        """Begin with an effect."""
        self._spawn(self._carry_out(effect))

    async def _carry_out(self, effect: Effect) -> None:
        try:
            detail = await self._do(effect)
        except LabError as error:
            self._on_done(EffectDone(effect.token, ok=False, detail=str(error)))
        except OSError as error:
            why = error.strerror or str(error)
            self._on_done(EffectDone(effect.token, ok=False, detail=why))
        else:
            if detail is not None:
                self._on_done(EffectDone(effect.token, ok=True, detail=detail))

    async def _get(self, effect: Effect) -> str:
        wanted = effect.arguments
        timeout_s = float(wanted["timeout_s"]) * self._dilation
        return await http_get(str(wanted["address"]), int(wanted["port"]), timeout_s)

    async def _do(self, effect: Effect) -> str | None:
        """Do it, and return what came of it; None when it is not over then."""
        name = str(effect.arguments.get("name", ""))
        match effect.name:
            case "address-up":
                await self._addresses.up(name)
            case "address-down":
                await self._addresses.down(name)
            case "program-stop":
                await self._programs.stop(name)
            case "http-get":
                return await self._get(effect)
            case "program-start":
                await self._programs.start(
                    effect.arguments,
                    lambda why: self._on_done(EffectDone(effect.token, ok=False, detail=why)),
                )
                return None
            case _:
                raise LabError(f"this runtime knows no effect {effect.name!r}")
        return ""
