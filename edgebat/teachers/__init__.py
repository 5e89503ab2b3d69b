"""Teachers: one folder per published system, each a ``Teacher`` (``base``). Needs torch (extra ``train``)."""
