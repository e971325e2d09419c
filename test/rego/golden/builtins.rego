package p

r := concat("-", sort({upper(x) | some x in input.xs}))
