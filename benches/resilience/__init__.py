"""What becomes of a service whose Ray goes away: bare Ray and ours, side by side, on real heads.

``python -m benches.resilience`` plays every scenario, writes ``benches/resilience/results.json``
and ``docs/resilience.md``.
"""
