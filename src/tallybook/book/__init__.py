"""The book: the main database, with closings, daily statistics and slices."""
