"""Ends a process as soon as its interpreter is done, before the destructors of native libraries.

``on_exit`` is the way where the C library has it (glibc). musl and macOS have ``__cxa_atexit``,
whose functions are not told the exit code: there it is found out before the interpreter ends, see
``_without_on_exit``.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_FAILED = 1
# That of the thread with which this process began; set by `_without_on_exit`.
_outermost: list[FrameType] = []


def skip_static_destructors(portably: bool) -> None:
    """Have this process end with the exit code that the interpreter gives it, and nothing more.

    What was registered with C's ``atexit`` before is left out as well. ``portably``: as if there
    were no ``on_exit``. Where the C library has neither function, this does nothing.
    """
    import ctypes

    libc = ctypes.CDLL(None)
    if not portably and hasattr(libc, "on_exit"):
        libc.on_exit(_address_of_exit(libc), None)
    elif hasattr(libc, "__cxa_atexit"):
        _without_on_exit(libc)


def _address_of_exit(libc: Any) -> Any:
    import ctypes

    return ctypes.cast(libc._exit, ctypes.c_void_p)


def _without_on_exit(libc: Any) -> None:
    """Register ``_exit`` with the exit code, once it is known.

    The interpreter reads the code of the ``SystemExit`` that ends it; without one it ends with 0
    where the outermost frame has returned, and with 1 where an exception has left it. The function
    registered last is called first: the 0 from here stands until something else is known.
    """
    import atexit
    import ctypes

    # A child of a child inherits all that was arranged, and may have begun with another thread.
    is_arranged = bool(_outermost)
    _outermost[:] = [_outermost_frame()]
    if is_arranged:
        return

    def end_with(code: int) -> None:
        libc.__cxa_atexit(_address_of_exit(libc), ctypes.c_void_p(code), None)

    def end_with_code() -> None:
        if codes:
            end_with(_exit_code(codes[-1]))
        elif not _has_returned(*_outermost):
            end_with(_FAILED)

    codes: list[object] = []
    if _sees_what_the_interpreter_reads(codes):
        end_with(0)
        atexit.register(end_with_code)


def _sees_what_the_interpreter_reads(codes: list[object]) -> bool:
    """Have the code of the ``SystemExit`` that ends the interpreter added to ``codes``.

    Others read it too, but only the interpreter does so where no Python frame is left. False where
    that cannot be arranged: the dictionary of a built-in type is CPython's own (3.10 to 3.13).
    """
    import ctypes
    import gc

    inner = gc.get_referents(SystemExit.__dict__)
    if len(inner) != 1 or "code" not in inner[0]:
        return False
    names, member = inner[0], SystemExit.__dict__["code"]

    def code(error: SystemExit) -> object:
        value: object = member.__get__(error)
        try:
            sys._getframe(1)
        except ValueError:
            codes.append(value)
        return value

    names["code"] = property(code, member.__set__)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(SystemExit))
    # Before 3.12 what sys.exit raises becomes a SystemExit only where it is caught. Who has
    # imported the function itself by then ends with 1, whatever the code, if nobody catches it.
    sys.exit = _raise_exit
    return True


def _raise_exit(status: object = None, /) -> Any:
    raise SystemExit(*status if isinstance(status, tuple) else (status,))


def _outermost_frame() -> FrameType:
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    return frame


def _has_returned(frame: FrameType) -> bool:
    import opcode

    last = opcode.opname[frame.f_code.co_code[frame.f_lasti]]
    return last.startswith("RETURN")


def _exit_code(code: object) -> int:
    """As the interpreter turns it into one: words are printed, and mean failure."""
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else _FAILED
