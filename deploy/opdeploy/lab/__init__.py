"""The lab: simulated practice servers that speak real WS-Man on loopback; a model of Windows stands behind them."""
