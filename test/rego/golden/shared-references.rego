package p

r contains "one" if input.a.b == 1

r contains "two" if input.a.b == 2

r contains "any" if data.users[input.user].admin
