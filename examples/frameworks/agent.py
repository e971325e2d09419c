"""An agent behind a gate with nothing but Python's standard library: python3 agent.py

`Gate.guard(tool)` answers a function that does what the tool does: it waits where a person has to approve, and raises
`Refused` where the gate says no. PORTCULLIS_URL and PORTCULLIS_KEY say where the gate is, and as whom to call it.
"""

import json
import os
import time
import urllib.error
import urllib.request
import uuid

ATTEMPTS_MAX = 4
PAUSE_S_MAX = 10.0
OPEN = {"held", "executing"}


class Refused(Exception):
    """What a gate said no with, or what became of an action that did not succeed."""

    def __init__(self, code, message, next_action=None):
        super().__init__(message)
        self.code = code
        self.next_action = next_action


class Gate:
    def __init__(self, url, key):
        self.url = url.rstrip("/")
        self.key = key

    def act(self, tool, args, **more):
        """One action: carried out, or held until a person approves."""
        return self._call("POST", "/act", {"tool": tool, "args": args, **more})

    def wait(self, action_id, timeout_s=600):
        """An action once it is final, or as it stands when the time is up."""
        until = time.monotonic() + timeout_s
        while True:
            left = max(0, min(60, int(until - time.monotonic())))
            action = self._call("GET", f"/actions/{action_id}?wait_s={left}")
            if action["status"] not in OPEN or time.monotonic() >= until:
                return action

    def guard(self, tool, on_held=None, **more):
        """A function that does what the tool does, through the gate."""

        def run(**args):
            done = self.act(tool, args, **more)
            if done["decision"] == "require_approval":
                if on_held:
                    on_held(done)
                done = self.wait(done["action_id"])
            if done["status"] != "succeeded":
                said = done.get("error") or done.get("result")
                raise Refused(f"action_{done['status']}", f"{tool} is {done['status']}: {said}")
            return done["result"]["body"]

        return run

    def _call(self, method, path, body=None):
        # One key through all attempts: a lost answer is given again, and nothing is carried out twice.
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(1, ATTEMPTS_MAX + 1):
            request = urllib.request.Request(self.url + path, data, headers, method=method)
            pause = 0.2 * 2**attempt
            try:
                with urllib.request.urlopen(request, timeout=90) as response:
                    return json.load(response)
            except urllib.error.HTTPError as answer:
                error = json.load(answer)["error"]
                pause = float(answer.headers.get("Retry-After") or pause)
                if not error["retryable"] or attempt == ATTEMPTS_MAX or pause > PAUSE_S_MAX:
                    raise Refused(error["code"], error["message"], error.get("next_action")) from None
            except OSError as lost:
                if attempt == ATTEMPTS_MAX:
                    raise Refused("unreachable", f"no gate answers at {self.url}") from lost
            time.sleep(pause)


def main():
    url = os.environ.get("PORTCULLIS_URL", "http://127.0.0.1:8787")
    gate = Gate(url, os.environ.get("PORTCULLIS_KEY", ""))

    def on_held(held):
        why = "; ".join(reason["message"] for reason in held["reasons"])
        print(f"held: {held['approval']['id']}: {why}", flush=True)

    read_ticket = gate.guard("tickets.get")
    email_customer = gate.guard("customers.email", on_held, reason="the ticket is answered")
    print(json.dumps(read_ticket(id="t-1")))
    for customer in ("c-1", "c-2"):
        try:
            sent = email_customer(id=customer, subject="Your ticket", body="It is resolved.")
            print(json.dumps(sent))
        except Refused as refused:
            print(json.dumps({"refused": str(refused), "next": refused.next_action}))


if __name__ == "__main__":
    main()
