"""opdeploy: reads what a practice's servers should look like, shows the difference to what they are, and closes it."""

__version__ = "0.1.0"
