# Who may use which tool: roles from the registry, tools by name.
package agent

tools_of := {
	"support-readonly": {"tickets.list", "tickets.get"},
	"support": {"tickets.list", "tickets.get", "tickets.update"},
}

allow if {
	some role in input.subject.properties.roles
	input.action.name in tools_of[role]
}
