"""Data: what is read from disk, and how raw pixels become what a model reads."""
