"""The life simulator: years of everyday use of a measured cell in front of the exported firmware."""
