"""Everything that rests on Ray's private parts on the Python side: one folder to audit for a new Ray.

``docs/ray-internals.md`` says what each module rests on; ``src/python/ray/`` is the Rust side.
"""
