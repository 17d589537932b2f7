"""Environments of users: what surrounds a connect there, started for real."""
