"""Batteries that every member of a kind passes before any test of its own."""
