"""The head of the book's chain, out of the database: a file in the home, and destinations that it is delivered to."""
