"""An integer graph as C99: tables, memory, and one short call sequence into ``firmware_stubs/src``."""
