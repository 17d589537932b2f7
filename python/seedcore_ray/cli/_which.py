"""``seedcore-ray which``: which files serve the drop-in modules."""

from seedcore_ray import _hook_status
from seedcore_ray.cli._output import Paper, document


def which(as_json: bool = False) -> int:
    """Print what serves each drop-in module, and if that is wrong, why and what to do.

    Returns:
        0, or 1 when a module is not ours.
    """
    paper = Paper()
    servers = _hook_status.servers()
    problem = _hook_status.problem(servers)
    code = 0 if problem is None else 1
    if as_json:
        fields = {"modules": servers, "import_hook": _hook_status.hook_state(), "problem": problem}
        paper.write(document("which", code, fields))
        return code
    width = max(map(len, servers))
    for name, file in servers.items():
        paper.write(f"{name:{width}}  {file or 'nobody'}")
    paper.write(f"{'import hook':{width}}  {_hook_status.hook_state()}")
    if problem is not None:
        paper.write(f"\n{paper.style('Not', 'failed')} seedcore-ray's: {problem}")
    return code
