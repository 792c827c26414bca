"""Slides made from the lessons: reveal.js, one idea a slide, speaker notes, readable without a network."""
