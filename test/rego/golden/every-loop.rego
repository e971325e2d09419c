package p

r if {
	every x in input.xs {
		x > 0
	}
}
