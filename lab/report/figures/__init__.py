"""The report's figures: pure functions from tidy tables to Plotly figures."""
