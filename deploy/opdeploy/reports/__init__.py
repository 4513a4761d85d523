"""A plan or a run rendered for somebody: text for a person, JSON for a program."""
