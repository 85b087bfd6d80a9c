"""Protocol stacks, each a pure core, and what all of them share.

:mod:`lab.stacks.core` is the contract between a stack and whatever runs it. A stack is a folder
beside it and imports no other stack. Two runtimes exist: :mod:`lab.shell` runs one node of any
stack in a container over real sockets and files, :mod:`lab.world` runs hundreds of nodes in one
process under virtual time.
"""
