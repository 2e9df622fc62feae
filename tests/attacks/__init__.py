"""Attacks on the checker: right layers that it must not accuse, bugs that it must find."""
