"""Measurements: corpora, cycler files, a synthetic fleet, and splits by cell.

The cycler readers (``edgebat.data.readers``) need NumPy only; everything with tables of cells needs pandas
(``pip install "edgebat[data]"``), so nothing is imported here.
"""
