"""A model of Windows made of the raw state that Windows itself keeps; it answers the agent's verbs.

`servers` builds believable machines, `computer.Computer` is what the WS-Man front asks, and `state` is all there is to
save. The raw formats have printers of their own here, apart from ``opdeploy.formats``, so that one mistake can't hide
in both.
"""
