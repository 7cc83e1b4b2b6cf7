"""Releases: the signed folder a service loads, which one it starts with, and the trial load."""
