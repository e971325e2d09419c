# What YAML cannot say, in Rego: this file decides together with gate.yaml. Any deny wins; a `require_approval` holds;
# what is granted stands in gate.yaml. `portcullis test` runs agent_test.rego, and so does every reload.
package agent

# A ticket is not closed in the same breath as it is raised: whoever reads it later would see an urgent, closed ticket.
deny contains {"code": "closed_while_urgent", "message": "a ticket is not raised to urgent and closed at once"} if {
	input.action.name == "tickets.update"
	args := input.action.properties.args
	args.status == "closed"
	args.priority == "urgent"
}

# A long note is read by a person before it goes to a customer's ticket.
note_chars_max := 1000

require_approval contains {"code": "long_note", "message": sprintf("a note of %d characters is read by a person first", [count(note)])} if {
	input.action.name == "tickets.update"
	note := input.action.properties.args.note
	count(note) > note_chars_max
}
