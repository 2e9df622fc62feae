"""Lessons: a walk through attention, exercises, a bug hunt, and an image cut into tokens."""
