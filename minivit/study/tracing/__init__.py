"""Following a pass line by line: every array, the line that made it, and its gradient."""
