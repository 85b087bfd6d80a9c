"""The live view: rates from two moments, drawn, printed and served."""

import http.client
import io
import json
import threading
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner
from watch_fakes import FakeLab, moment, small_lab

from lab.cli import watch as command
from lab.cli.app import app
from lab.errors import LabError
from lab.watch import source as sources
from lab.watch.history import History, level, sparkline
from lab.watch.snapshot import LOSSES, decode
from lab.watch.terminal import draw, line
from lab.watch.view import View, compare
from lab.watch.web import Hub, Server, page, show


def a_view(last: int = 9) -> View:
    lab = small_lab()
    return compare(lab, moment(lab.topology, 1), moment(lab.topology, last))


def test_rates_are_taken_in_virtual_time() -> None:
    view = a_view()
    links = {(link.node, link.port): link for link in view.links}
    assert view.interval_s == pytest.approx(0.008)
    assert links["n1", 0].utilisation == pytest.approx(0.5)
    assert links["s1", 3].utilisation == pytest.approx(1.0)
    assert (links["s1", 3].to, links["s1", 3].to_port) == ("s3", 1)
    assert view.mbyte_per_s == pytest.approx(40.0)
    assert view.messages_per_s == pytest.approx(20_000)
    assert view.quenches_per_s == pytest.approx(3000)
    assert [(link.node, link.port) for link in view.congested] == [("s1", 3)]
    assert [(s.name, s.src, s.dst) for s in view.streams] == [("bg-1", "n1", "n3")]


def test_a_new_pass_has_no_rates_yet() -> None:
    lab = small_lab()
    view = compare(lab, moment(lab.topology, 50), moment(lab.topology, 2, pass_number=2))
    assert view.interval_s == 0
    assert view.mbyte_per_s == view.quenches_per_s == 0
    assert {link.utilisation for link in view.links} == {0.0}


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3))
def test_no_rate_is_ever_negative_or_beyond_the_link(
    first: int, second: int, pass_a: int, pass_b: int
) -> None:
    lab = small_lab()
    view = compare(lab, moment(lab.topology, first, pass_a), moment(lab.topology, second, pass_b))
    assert all(0 <= link.utilisation <= 1 for link in view.links)
    assert view.mbyte_per_s >= 0
    assert view.quenches_per_s >= 0
    assert (view.interval_s > 0) == (pass_a == pass_b and first < second)


def test_the_answer_of_the_line_cards_is_read() -> None:
    answer = {
        "now_ns": 5,
        "dilation": 10.0,
        "flow_control": "link",
        "pass_number": 2,
        "pass_name": "off",
        "totals": {**dict.fromkeys(LOSSES, 1), "quenches": 3, "stops": 4, "goes": 4},
        "ports": {
            **{name: [7, 8] for name in ("frames", "cells", "busy_ns", "queued_cells")},
            "node": ["s1", "n1"],
            "port": [1, 0],
            "quenching": [0, 2],
            "stopped": [True, False],
            "cut": [False, False],
        },
        "vcs": {
            **{name: [1] for name in ("messages", "bytes", "quenches", "queued_cells")},
            "vc": [-1],
            "held": [False],
        },
    }
    snapshot = decode(json.loads(json.dumps(answer)))
    assert (snapshot.pass_name, snapshot.stops, snapshot.lost) == ("off", 4, len(LOSSES))
    assert [(port.node, port.busy_ns, port.stopped) for port in snapshot.ports] == [
        ("s1", 7, True),
        ("n1", 8, False),
    ]
    assert snapshot.vcs[0].vc == -1


# -- in the terminal -------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 50)])
def test_a_screen_shows_all_and_fits(width: int, height: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True)
    view, history = a_view(), History()
    history.add(view)
    with console.capture() as capture:
        console.print(draw(view, small_lab().topology, history, console))
    lines = Console(file=io.StringIO()).render_str(capture.get()).plain.splitlines()
    text = capture.get()
    for word in ("lab-0a1b2c", "slow-host/x", "s1:3", "bg-1", "40.0", "3000", "congested ports"):
        assert word in text
    assert len(lines) <= height


def test_a_line_says_the_most_important() -> None:
    text = line(a_view())
    assert "40.0 MByte/s" in text
    assert "busiest s1:3 100%" in text


def test_a_sparkline_starts_anew_with_each_pass() -> None:
    history = History(4)
    for last in (3, 5, 9):
        history.add(a_view(last))
    assert history.values == pytest.approx([3000] * 3)
    history.add(msgspec.structs.replace(a_view(2), pass_name="off"))  # noqa: S106
    assert len(history.values) == 1


def test_blocks_grow_with_what_they_show() -> None:
    assert sparkline([0, 5, 10], 40) == "▁▅█"
    assert sparkline([0, 0], 40) == "▁▁"
    assert sparkline([1, 1, 7], 2) == "▂█"
    assert [level(part) for part in (-1, 0, 1, 7)] == ["▁", "▁", "█", "█"]


# -- the command -----------------------------------------------------------------------------


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLab]:
    """A lab of three snapshots stands for the command."""
    lab = FakeLab(steps=3)
    monkeypatch.setattr(sources, "StandingLab", lambda: lab)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    yield lab
    assert lab.closed


def test_json_is_one_document_a_line(fake: FakeLab) -> None:
    result = CliRunner().invoke(app, ["watch", "--json", "--every", "0.1", "--count", "2"])
    assert result.exit_code == 0
    first, second = [json.loads(text) for text in result.stdout.splitlines()]
    assert first["interval_s"] == 0
    assert second["mbyte_per_s"] > 0
    assert {"links", "streams", "quenches_per_s", "pass_name", "virtual_s"} <= set(second)


def test_it_ends_with_the_lab(fake: FakeLab) -> None:
    result = CliRunner().invoke(app, ["watch", "--every", "0.1"])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    assert "lab-0a1b2c does not stand any more" in result.stderr


def test_without_a_lab_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> None:
        raise LabError("no lab is standing", remedy="build one with `lab up fat_tree`")

    monkeypatch.setattr(sources, "load_state", nothing)
    result = CliRunner().invoke(app, ["watch"])
    assert result.exit_code == 1
    assert "no lab is standing" in result.stderr
    assert "lab up fat_tree" in result.stderr
    assert "Traceback" not in result.output


def test_it_waits_for_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    lab, asked = FakeLab(steps=2), []

    def later() -> FakeLab:
        asked.append(1)
        if len(asked) < 3:
            raise LabError("no lab is standing")
        return lab

    monkeypatch.setattr(sources, "StandingLab", later)
    monkeypatch.setattr(sources, "_RETRY_S", 0.01)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    result = CliRunner().invoke(app, ["watch", "--wait", "--every", "0.1", "--count", "2"])
    assert result.exit_code == 0
    assert result.stderr.count("waiting for one") == 1
    assert len(result.stdout.splitlines()) == 2


def test_waiting_does_not_hide_that_the_right_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden() -> None:
        raise LabError("the lab belongs to root", remedy="run this command as root")

    monkeypatch.setattr(sources, "load_state", forbidden)
    assert CliRunner().invoke(app, ["watch", "--wait"]).exit_code == 1


# -- the page --------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("127.0.0.1", 0)
    with made.running():
        yield made


def ask(server: Server, path: str, host: str = "") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    return connection.getresponse()


def test_the_page_needs_nothing_from_elsewhere(server: Server) -> None:
    answer = ask(server, "/")
    text = answer.read()
    assert answer.status == 200
    assert text == page()
    assert b"http://" not in text.replace(b"http://www.w3.org/2000/svg", b"")
    assert b"https://" not in text
    assert b"src=" not in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert ask(server, "/etc/passwd").status == 404


def test_a_page_from_elsewhere_cannot_read_it(server: Server) -> None:
    assert ask(server, "/events", host="evil.example:80").status == 403
    assert ask(server, "/", host=f"localhost:{server.server_port}").status == 200


def test_events_carry_the_wiring_and_then_the_views(server: Server) -> None:
    lab = FakeLab()
    thread = threading.Thread(target=show, args=(lab, server.hub, 0.1))
    thread.start()
    answer = ask(server, "/events")
    assert answer.headers["Content-Type"] == "text/event-stream"
    seen = []
    while len(seen) < 3:
        text = answer.readline().decode().strip()
        if text.startswith("event: "):
            data = answer.readline().decode().removeprefix("data: ")
            seen.append((text.removeprefix("event: "), json.loads(data)))
    lab.steps = 0
    thread.join()
    assert lab.closed
    assert [kind for kind, _ in seen] == ["lab", "view", "view"]
    assert seen[0][1]["layers"][0] == ["s3"]
    assert len(seen[0][1]["cables"]) == 5
    assert seen[1][1]["virtual_s"] < seen[2][1]["virtual_s"]


def test_a_taken_port_is_told(server: Server) -> None:
    with pytest.raises(LabError, match="cannot be served") as caught:
        Server("127.0.0.1", server.server_port)
    assert "--port" in str(caught.value.remedy)


def test_a_late_listener_gets_the_newest_of_each_kind() -> None:
    hub = Hub()
    for number in range(5):
        hub.publish("view", {"number": number})
    hub.publish("lab", {"name": "x"})
    at, messages = hub.after(0, 0)
    assert messages == [("view", b'{"number":4}'), ("lab", b'{"name":"x"}')]
    assert hub.after(at, 0) == (at, [])
