"""Prove that all encodings of an integer graph compute the same numbers."""
