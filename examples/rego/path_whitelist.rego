# Where files may be. A path with a dot segment or a backslash is no path at all.
package agent

allowed_dirs := {"docs", "src"}

deny contains {"code": "path_not_allowed", "message": sprintf("%s is outside", [path])} if {
	some path in input.action.properties.args.paths
	not inside(path)
}

inside(path) if {
	parts := split(path, "/")
	parts[0] in allowed_dirs
	not ".." in parts
	not contains(path, "\\")
}
