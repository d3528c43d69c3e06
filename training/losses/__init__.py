"""Losses on batches of images."""
