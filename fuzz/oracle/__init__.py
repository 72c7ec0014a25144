"""Oracles: pure functions from a case and its traces to a verdict."""
