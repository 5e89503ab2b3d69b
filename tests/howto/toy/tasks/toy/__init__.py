"""A task in a folder: from a few charges to the SOH now and the cycles left. Windows in one file, the rest in the other."""
