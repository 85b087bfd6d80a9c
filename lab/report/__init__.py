"""The report of a run: one self-contained page, and the summary on the terminal."""
