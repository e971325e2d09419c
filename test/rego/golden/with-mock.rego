package p

f(x) := lower(x)

r := y if {
	y := f("A") with lower as "mocked"
}
