"""Float networks of others: one reader for each format, one form for all, and from there into an integer graph."""
