package p

r := ((input.a + 1) * input.b) % 7 if {
	input.b >= 2
	input.a < 10
}
