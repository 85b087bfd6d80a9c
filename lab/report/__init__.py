"""The report of a run: one self-contained page, and the summary on the terminal."""

from lab.report.page import write_report

__all__ = ["write_report"]
