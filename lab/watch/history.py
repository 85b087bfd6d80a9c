"""The last minute or so of a view's numbers, for sparklines."""

from collections import deque

from lab.watch.view import View

_BLOCKS = "▁▂▃▄▅▆▇█"


class History:
    """Quenches per second of the views so far, the newest last; starts anew with each pass."""

    def __init__(self, length: int = 120) -> None:
        self._values: deque[float] = deque(maxlen=length)
        self._of: tuple[str, str] = ("", "")
        self._virtual_s = 0.0

    def add(self, view: View) -> None:
        """Take a view in; one without rates adds nothing."""
        of = (view.lab_id, view.pass_name)
        if of != self._of or view.virtual_s < self._virtual_s:
            self._values.clear()
        self._of, self._virtual_s = of, view.virtual_s
        if view.interval_s > 0:
            self._values.append(view.quenches_per_s)

    @property
    def values(self) -> list[float]:
        """The values, oldest first."""
        return list(self._values)


def sparkline(values: list[float], width: int) -> str:
    """Draw the newest values as blocks; the highest fills its character, none is all low."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    return "".join(level(value / top if top else 0.0) for value in shown)


def level(part: float) -> str:
    """Draw a part of one, 0 to 1, as a block."""
    return _BLOCKS[max(0, min(len(_BLOCKS) - 1, round(part * (len(_BLOCKS) - 1))))]
