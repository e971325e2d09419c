package p

r if {
	"admin" in input.roles
	"k", 1 in input.o
}
