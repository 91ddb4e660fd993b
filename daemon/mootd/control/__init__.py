"""The control socket: what listens, one connection, and the commands hosted over it.

The composition root hands in what answers (`ports.Dispatcher`), what runs commands (`ports.ConsoleHost`) and what
watches (`ports.Observer`); nothing here knows the log, and nothing here writes what a request holds to an observer.
"""
