"""Scores of one image against the truth, on physical values, over valid pixels only."""
