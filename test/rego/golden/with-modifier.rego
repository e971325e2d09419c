package p

base := input.x

r := [base, v] if v := base with input as {"x": 7}
