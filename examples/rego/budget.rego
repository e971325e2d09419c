# What one action may cost. Costs are decimal text.
package agent

require_approval contains sprintf("costs %s", [input.action.properties.cost]) if {
	to_number(input.action.properties.cost) > 5
}
