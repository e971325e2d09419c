package agent

# A frozen ticket may be read and nothing else.
deny contains {"code": "frozen", "message": sprintf("ticket %s is frozen", [input.resource.id])} if {
	input.action.properties.effect != "read"
	input.resource.id in data.frozen.tickets
}
