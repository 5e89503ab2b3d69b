"""The user's own cycler files to a corpus: which file is which cell, in which order, counted, checked, written, reported."""
