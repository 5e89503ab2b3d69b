"""IC2ML (J. Power Sources 666, 239148): health from pieces of ten charges."""
