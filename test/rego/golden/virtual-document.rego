package p

r := q

q.a := 1

q.b contains 2

q.c.d if input.d
