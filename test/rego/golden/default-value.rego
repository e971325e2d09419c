package p

default r := false

r if input.ok
