"""A service on Ray, as docs/fastapi.md explains it."""
