"""Listener: hears what customers say in public and tells at which moment of truth they say it."""

__version__ = "0.1.0"
