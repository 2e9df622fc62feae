"""Data: reading it, and turning raw pixels into what a model takes."""
