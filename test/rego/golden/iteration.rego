package p

r contains x if some x in input.xs
