"""A fuzzing process: libFuzzer drives cases into a session."""
