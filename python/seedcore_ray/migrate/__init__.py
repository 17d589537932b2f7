"""``seedcore-ray migrate``: finds ``ray.init`` calls, and rewrites the safe ones.

It reads source text with the standard library's ``ast`` and ``tokenize``, and edits spans of bytes.
Nothing here imports ``ray`` or the extension: it has to run where neither works, for example in the
environment that pre-commit makes for a hook.
"""
