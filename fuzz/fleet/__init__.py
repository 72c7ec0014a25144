"""A fleet: campaigns that never end, on as many machines as there are.

Dask distributes; a store and a corpus at a URL keep what comes of it. Ours is what a slice of
work is (`slices`, `task`), and which to do next (`plan`).
"""
