package p

r := [a, b] if {
	[a, {"k": b}] = input.pair
}
