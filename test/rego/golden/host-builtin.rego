package p

r if json.match_schema(input.doc, {"type": "object"})[0]
