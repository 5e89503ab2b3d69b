"""Teachers: one file per published system, all behind the ``Teacher`` protocol. Needs torch (extra ``train``)."""
