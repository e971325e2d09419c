package p

r if not input.blocked
