"""Commands and terminal output, nothing else: `app` lists the commands, `ending` turns what they leave into an exit code.

Data goes to stdout, everything else to stderr. What a command works with is imported when the command is, so that
``opdeploy --help`` answers at once.
"""
