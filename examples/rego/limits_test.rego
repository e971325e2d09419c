package limits_test

import data.agent

codes contains reason.code if some reason in agent.deny

with_args(args) := {"action": {"properties": {"args": args, "effect": "write"}}, "context": {"now_ms": monday}}

monday := 1795422600000 # 2026-11-23 09:10 in Berlin

sunday := 1795336200000

test_six_items_are_too_many if "too_many_items" in codes with input as with_args({"ids": [1, 2, 3, 4, 5, 6]})

test_five_items_pass if not "too_many_items" in codes with input as with_args({"ids": [1, 2, 3, 4, 5]})

test_expensive_needs_approval if {
	count(agent.require_approval) == 1 with input as {"action": {"properties": {"cost": "5.01"}}}
	count(agent.require_approval) == 0 with input as {"action": {"properties": {"cost": "5.00"}}}
}

test_observed_agents_ask_first if {
	observed := {"subject": {"properties": {"observed": true}}, "action": {"properties": {"effect": "write"}}}
	"this agent is under observation" in agent.require_approval with input as observed
}

test_hours if {
	not "outside_hours" in codes with input as with_args({})
	late := object.union(with_args({}), {"context": {"now_ms": sunday}})
	"outside_hours" in codes with input as late
}
