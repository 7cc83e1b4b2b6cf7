"""What the departments write down of it: the contract's tables, late, incomplete, corrected, and now and then
wrong.
"""

from __future__ import annotations

import polars as pl

from riskmodel.synthetic.health_records import HealthRecords
from riskmodel.synthetic.help_records import HelpRecords
from riskmodel.synthetic.money_records import MoneyRecords
from riskmodel.synthetic.register_records import RegisterRecords
from riskmodel.synthetic.visit_records import VisitRecords


class Departments(VisitRecords, RegisterRecords, MoneyRecords, HealthRecords, HelpRecords):
    """Makes all tables of one county."""

    def tables(self) -> dict[str, pl.DataFrame]:
        """Every table of the contract, by name."""
        verifications = self.verifications()  # first: others are written because of it
        members = self.members()
        listed = members.select("member_id").unique()
        frames = {
            "households": self.households(),
            "members": members,
            "income": self.income(),
            "expenditure": self.expenditure(),
            "medical": self.medical(),
            "disability": self.disability(),
            "employment": self.employment(),
            "shocks": self.shocks(),
            "guarantees": self.guarantees(),
            "assistance": self.assistance(),
            "leads": self.leads(),
            "authorisations": self.authorisations(),
            "assets": self.assets(),
            "verifications": verifications,
            "policy": self.policy(),
        }
        for name in (
            "medical",
            "disability",
            "employment",
        ):  # nobody settles a claim for a person that no register holds
            frames[name] = frames[name].join(listed, on="member_id", how="semi", maintain_order="left")
        # What such a person earns is the household's: the row stays, without the person.
        known = pl.col("member_id").is_in(listed["member_id"].implode())
        frames["income"] = frames["income"].with_columns(pl.when(known).then("member_id").alias("member_id"))
        return self._until_the_end(frames)

    def _until_the_end(self, frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
        """No rows of households whose last member had left: what they earned and spent in that half-year is
        booked on the last day.
        """
        newest = frames["members"].sort("known_on").unique("member_id", keep="last")
        there = newest.filter(pl.col("left_on").is_null()).select("household_id")
        ended = (
            frames["members"]
            .join(there, on="household_id", how="anti")
            .group_by("household_id")
            .agg(pl.col("left_on").max())
        )
        for name in ("income", "expenditure", "assistance", "authorisations", "assets"):
            rows = frames[name].join(ended, on="household_id", how="left", maintain_order="left")
            late = (pl.col("occurred_on") > pl.col("left_on")).fill_null(False)
            if name in ("income", "expenditure"):
                rows = rows.with_columns(occurred_on=pl.when(late).then("left_on").otherwise("occurred_on"))
            else:
                rows = rows.filter(~late)
            frames[name] = rows.drop("left_on")
        return frames
