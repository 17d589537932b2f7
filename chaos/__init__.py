"""What becomes of a service whose Ray goes away: bare Ray and ours, side by side, on real heads.

``python -m chaos`` plays every scenario, writes ``chaos/results.json`` and ``docs/resilience.md``.
"""
