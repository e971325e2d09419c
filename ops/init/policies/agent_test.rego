package agent_test

import data.agent

update(args) := {"action": {"name": "tickets.update", "properties": {"args": args, "effect": "write"}}}

denied(args) if {
	some reason in agent.deny with input as update(args)
	reason.code == "closed_while_urgent"
}

test_urgent_and_closed if denied({"id": "t-1", "status": "closed", "priority": "urgent"})

test_one_of_both if {
	not denied({"id": "t-1", "status": "closed"})
	not denied({"id": "t-1", "priority": "urgent"})
}

test_long_note if {
	long := concat("", [x | some i in numbers.range(1, 1001); x := "x"])
	count(agent.require_approval) == 1 with input as update({"id": "t-1", "note": long})
	count(agent.require_approval) == 0 with input as update({"id": "t-1", "note": "short"})
}
