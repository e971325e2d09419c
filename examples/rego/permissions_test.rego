package permissions_test

import data.agent

asks(roles, tool) := {"subject": {"properties": {"roles": roles}}, "action": {"name": tool}}

test_support_updates if agent.allow with input as asks(["support"], "tickets.update")

test_readonly_reads_only if {
	agent.allow with input as asks(["support-readonly"], "tickets.get")
	not agent.allow with input as asks(["support-readonly"], "tickets.update")
}

test_nobody_is_not_allowed if not agent.allow with input as asks([], "tickets.list")
