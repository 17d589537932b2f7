"""Several connections in one process: `seedcore_ray.ConnectionPool`."""
