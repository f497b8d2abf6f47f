"""Damaged folders: small ones made by code, what can be wrong with them, and what is allowed."""
