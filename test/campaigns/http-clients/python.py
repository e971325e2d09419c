"""urllib, as it is: the same calls straight to the server and through the gate."""
import json
import sys
import urllib.parse
import urllib.request

at, key = sys.argv[1:3]


def ask(path, method="GET", body=None, kind=None):
    headers = {"Authorization": "Bearer " + key}
    if kind:
        headers["Content-Type"] = kind
    request = urllib.request.Request(at + path, data=body, headers=headers, method=method)
    with urllib.request.urlopen(request) as answer:
        answer.read()


query = urllib.parse.urlencode([("tag", "a b"), ("tag", "c&d"), ("limit", 5), ("note", "\u00e4+/%")])
ask("/items?" + query)
ask("/items/i%201", "PATCH", json.dumps({"note": "\u00e4"}).encode(), "application/json")
ask("/form", "POST", urllib.parse.urlencode({"amount": 5, "note": "a b&c"}).encode(), "application/x-www-form-urlencoded")
