"""A believable county with known truth: hard in the ways the field is hard, and no real person in it.

`docs/synthetic-county.md` says what it imitates, what it does not, and how good the best possible score is on
it.
"""

from riskmodel.synthetic.county import Truth, make_county, synthesise, synthetic_county
from riskmodel.synthetic.dynamics import Dynamics

__all__ = ["Dynamics", "Truth", "make_county", "synthesise", "synthetic_county"]
