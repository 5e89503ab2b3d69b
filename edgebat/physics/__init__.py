"""A fleet simulated from first principles with PyBaMM: rates, temperatures and chemistries that nobody measured.

``settings`` draws what each cell is, ``chemistries`` names the parameter sets, ``cell`` ages one cell, ``ladder`` fills the
cycles between those that were simulated, ``fleet`` simulates all cells, keeps what is done, and writes a corpus.
"""
