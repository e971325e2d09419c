package p

r[k] := v if some k, v in input.o
