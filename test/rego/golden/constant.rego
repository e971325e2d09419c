package p

r := {"a": [1, 2.5, null, true], "b": {"x", "y"}}
