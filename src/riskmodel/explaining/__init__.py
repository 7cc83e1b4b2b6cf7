"""Exact contributions of tree ensembles: a small library of its own, which takes model texts."""
