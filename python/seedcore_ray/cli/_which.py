"""``seedcore-ray which``: which files serve the drop-in modules."""

from seedcore_ray import _hook_status
from seedcore_ray.cli._output import Console, columns, document


def which(as_json: bool) -> int:
    """Print which file serves each drop-in module, and why one is not ours.

    Returns:
        0, or 1 when a module is not ours.
    """
    console = Console()
    servers = _hook_status.servers()
    problem = _hook_status.problem(servers)
    code = 0 if problem is None else 1
    if as_json:
        fields = {"modules": servers, "import_hook": _hook_status.hook_state(), "problem": problem}
        console.write(document("which", code, fields))
        return code
    rows = _hook_status.rows(servers)
    width = columns(rows)[0]
    for name, value in rows:
        console.write(f"{name:{width}}  {value}")
    if problem is not None:
        console.write(f"\n{console.style('Not', 'failed')} seedcore-ray's: {problem}")
    return code
