"""A benchmark of drawn defects: each shows only where several ordinary things meet."""
