"""Where sets of log records live, and how each kind of engine reads a day from them."""
