package p

r := "a" if input.kind == "x"

r := "b" if input.kind == "y"

r := "c" if {
	input.kind == "z"
	input.more
}
