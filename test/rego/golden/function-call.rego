package p

f(x) := x * 2 if x > 10

f(x) := x if x <= 10

r := f(input.n)
