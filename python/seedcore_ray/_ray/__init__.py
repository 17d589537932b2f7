"""Everything on the Python side that rests on Ray's private parts: one audit for a new Ray.

``docs/ray-internals.md`` says what each module rests on; ``src/python/ray/`` is the Rust side.
"""
