"""``seedcore.utils.ray_utils`` for type checkers: nothing of it is imported by a program."""

from seedcore_ray._facades.ray_utils import *
