"""Benchmarks: each a command of its own that prints a table and fails when it misses its goal."""
