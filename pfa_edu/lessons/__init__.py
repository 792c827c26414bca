"""Lessons: the notebooks, the explorers and exercises in them, and the results that they show."""
