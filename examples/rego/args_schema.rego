# With which arguments: a JSON Schema over them.
package agent

schema := {
	"type": "object",
	"required": ["priority"],
	"properties": {"priority": {"enum": ["low", "normal", "high"]}},
}

deny contains {"code": "bad_args", "message": "priority must be low, normal or high"} if {
	input.action.name == "tickets.update"
	not valid
}

valid if {
	[matches, _] := json.match_schema(input.action.properties.args, schema)
	matches
}
