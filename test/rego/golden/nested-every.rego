package p

r if {
	every row in input.rows {
		some cell in row
		cell.ok
	}
}
