"""Alembic's door: the connection comes from `riskmodel.casebook.store`, never from a file."""

from alembic import context

from riskmodel.casebook.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
context.run_migrations()
