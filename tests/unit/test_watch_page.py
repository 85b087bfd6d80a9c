"""The page of ``lab watch --web`` in a real browser without a screen."""

import threading
from collections.abc import Iterator

import pytest
from chromium import Chromium
from watch_fakes import FakeLab

from lab.watch.web import Server, show

pytestmark = pytest.mark.browser
TEXT = "document.getElementById('{}').textContent"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as chromium:
        yield chromium


@pytest.fixture
def server() -> Iterator[Server]:
    """A page of a lab that goes at the end of the test."""
    with (made := Server("127.0.0.1", 0)).running():
        lab = FakeLab()
        thread = threading.Thread(target=show, args=(lab, made.hub, 0.1))
        thread.start()
        yield made
        lab.steps = 0
        thread.join()


def number(browser: Chromium, name: str) -> float:
    text: str = browser.value(TEXT.format(name))
    return float(text.replace(",", ""))


def test_numbers_change_before_the_reader(browser: Chromium, server: Server) -> None:
    browser.open(server.url)
    browser.wait_for(TEXT.format("mbyte") + " > 0")
    first, at = number(browser, "mbyte"), browser.value(TEXT.format("state"))
    browser.wait_for(f"{TEXT.format('mbyte')} > {first + 100}")
    assert browser.value(TEXT.format("state")) != at
    assert number(browser, "quenches") == 3000
    assert browser.value(TEXT.format("title")) == "lab-0a1b2c: small_tree"
    assert (
        len(browser.value("document.querySelector('#spark polyline').getAttribute('points')")) > 9
    )
    assert browser.complaints == []


def test_the_wiring_shows_load_and_congestion(browser: Chromium, server: Server) -> None:
    browser.open(server.url)
    browser.wait_for("document.querySelectorAll('#picture line.u4').length === 1")
    assert browser.value("document.querySelectorAll('#picture line').length") == 10
    assert browser.value("document.querySelectorAll('#picture line.u2').length") == 1
    assert browser.value("document.querySelectorAll('#picture circle.on').length") == 1
    assert browser.value("document.querySelector('rect.hot ~ title').textContent") == "s1"
    title = browser.value("document.querySelector('#picture line.u4 title').textContent")
    assert title == "s1:3 to s3:1, busy 100 %, 700 cells wait"
    assert browser.value("document.querySelector('#ports td').textContent") == "s1:3"
    assert browser.value("document.querySelector('#streams td').textContent") == "bg-1"


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_small_screen_in_both_dresses(
    browser: Chromium, server: Server, dark: bool
) -> None:
    browser.open(server.url, 360, 700, dark=dark)
    browser.wait_for(TEXT.format("mbyte") + " > 0")
    # Only the picture and the tables may be wider, and they scroll by themselves.
    assert browser.value("document.documentElement.scrollWidth") <= 360
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    ink = browser.value("getComputedStyle(document.body).color")
    assert (sum(map(int, ground[4:-1].split(","))) < sum(map(int, ink[4:-1].split(",")))) == dark


def test_it_says_when_the_lab_goes(browser: Chromium) -> None:
    with (server := Server("127.0.0.1", 0)).running():
        show(FakeLab(steps=3), server.hub, 0.1)
        browser.open(server.url)
        browser.wait_for(TEXT.format("mbyte") + " > 0")
        server.hub.publish("gone", {"waiting": True})
        browser.wait_for(TEXT.format("state") + ".includes('waiting for one')")
        assert browser.value("document.body.className") == "gone"
