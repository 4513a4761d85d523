"""Windows' raw formats, parsed and printed: pure functions and the types between them, one file a format.

Nothing here asks a host or writes a file. Each file opens with the section of the open specification it follows. What
a parser does not understand it keeps verbatim, so that two readings still compare; text that is not the format at all
is a `ValueError` that says what was expected.
"""
