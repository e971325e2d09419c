package p

r if input.user.id == "ann"
