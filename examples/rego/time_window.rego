# When: on working days, in the office's hours. The time is part of the input, so the same input gives the same answer.
package agent

zone := "Europe/Berlin"

now_ns := input.context.now_ms * 1000000

deny contains {"code": "outside_hours", "message": "writes happen in office hours"} if {
	input.action.properties.effect != "read"
	not office_hours
}

office_hours if {
	not time.weekday([now_ns, zone]) in {"Saturday", "Sunday"}
	[hour, _, _] := time.clock([now_ns, zone])
	hour >= 9
	hour < 17
}
