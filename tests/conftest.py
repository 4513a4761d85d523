"""Tests run alike wherever they were started from: a shell's background job ignores Ctrl-C, and its children would too."""

import signal

for number, handler in {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}.items():
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)
