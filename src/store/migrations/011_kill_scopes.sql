-- Scopes hold an agent by its id, which a renaming does not change.
update kill_switches set agent = agents.id from agents where agents.name = kill_switches.agent;
