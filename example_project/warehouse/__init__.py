"""Warehouses: consignments whose lines come from wherever there is stock, and the saga that gathers them."""
