package p

r[x.name] := x.value if some x in data.things
