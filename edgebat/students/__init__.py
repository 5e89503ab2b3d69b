"""Students: networks of a few thousand weights, built only from what the integer graph can express.

``spec`` and ``knots`` need NumPy only; the networks themselves need torch (extra ``train``).
"""
