"""The console: grammar, commands and rendering of `moot`, written against `Api` and `Terminal`.

The daemon hosts it in worker threads, so that the client process imports next to nothing. Console code opens no path
and reads no environment: it asks the terminal, which is the client's side of the connection.
"""
