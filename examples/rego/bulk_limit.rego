# How much one action may touch.
package agent

items_max := 5

deny contains {"code": "too_many_items", "message": sprintf("%d items, at most %d", [count(ids), items_max])} if {
	ids := input.action.properties.args.ids
	count(ids) > items_max
}
