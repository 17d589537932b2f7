"""The files behind ``seedcore.utils.ray_utils`` and ``seedcore.utils.ray_connector``.

Import them under those names: the import hook, ``_seedcore_ray_hook``, serves them from here.
"""
