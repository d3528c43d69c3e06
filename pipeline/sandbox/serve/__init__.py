"""Servers on loopback that speak the protocols of real archives, and fail as they do."""
