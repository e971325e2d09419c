package p

r := [
	[x | some x in input.xs; x != 1],
	{x | some x in input.xs},
	{k: v | some k, v in input.o},
]
