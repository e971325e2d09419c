package agent

# Changes beside the day's work need a person. This only tightens: who has no permission is still denied.
require_approval contains "urgent changes are looked at" if input.action.properties.args.priority == "urgent"

# A frozen ticket may be read and nothing else.
deny contains {"code": "frozen", "message": sprintf("ticket %s is frozen", [input.resource.id])} if {
	input.action.properties.effect != "read"
	input.resource.id in data.frozen.tickets
}
