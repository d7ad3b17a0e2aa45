"""Runs the migrations on the connection, and within the transaction, that `tallybook.book.migrate` hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
