"""A synthetic county with known risks: as difficult as real data in late, missing and wrong records, without
any real person.

`docs/synthetic-county.md` describes what it imitates, what it does not, and how good the best possible score
on it is.
"""

from riskmodel.synthetic.county import Truth, make_county, synthesise, synthetic_county
from riskmodel.synthetic.dynamics import Dynamics

__all__ = ["Dynamics", "Truth", "make_county", "synthesise", "synthetic_county"]
