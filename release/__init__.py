"""What a release ships, and how it is checked: ``make wheel`` and ``make reproducible``.

``python -m release`` builds; ``release/smoke.py`` tries one wheel and needs only Python and pip.
"""
