# Agents under observation may not act by themselves at all; how often the others may is a guard's affair.
package agent

require_approval contains "this agent is under observation" if {
	input.subject.properties.observed == true
	input.action.properties.effect != "read"
}
