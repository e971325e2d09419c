# Whom nobody may write to: a list (data/do_not_contact.yaml, a list of addresses), and the customer's own flag.
package agent

listed(address) if lower(address) in data.do_not_contact

deny contains {"code": "do_not_contact", "message": "this customer must not be contacted"} if {
	input.context.facts.customer.do_not_contact == true
}

deny contains {"code": "do_not_contact", "message": "this address is on the list"} if {
	some address in input.action.properties.args.to
	listed(address)
}
