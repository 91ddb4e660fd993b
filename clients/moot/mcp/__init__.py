"""`moot mcp`: a server of the Model Context Protocol over standard input and output, for agents.

It is a process of its own and a client of the daemon like any other; nothing of it is ever loaded by the daemon or the
command line. Here alone the package `mcp` is imported, which is installed with the extra `mcp`.
"""
