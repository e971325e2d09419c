# Text that looks like an attack on whoever reads it next. Every string of the args, however deep.
package agent

patterns := {
	"command": `(?i)\b(curl|wget)\b[^\n]*\|\s*(ba)?sh\b`,
	"secret": `-----BEGIN [A-Z ]*PRIVATE KEY-----`,
}

risky contains name if {
	walk(input.action.properties.args, [_, text])
	is_string(text)
	some name, pattern in patterns
	regex.match(pattern, text)
}

deny contains {"code": "risky_text", "message": sprintf("the args hold a %s", [name])} if some name in risky
