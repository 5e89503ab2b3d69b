"""Cycler files: Battery Data Format, any CSV with a column map, BatteryML pickles. NumPy only.

Every reader returns ``RawCell`` with charging current positive, and refuses data whose current has the wrong sign.
"""

from edgebat.data.readers.batteryml import read_batteryml
from edgebat.data.readers.bdf import read_bdf, read_mapped
from edgebat.data.readers.csv_map import read_csv_map
from edgebat.data.readers.raw import CurrentSign, RawCell, check_sign

__all__ = ["CurrentSign", "RawCell", "check_sign", "read_batteryml", "read_bdf", "read_csv_map", "read_mapped"]
