"""``seedcore.utils.ray_connector`` for type checkers: nothing of it is imported by a program."""

from seedcore_ray._facades.ray_connector import *
