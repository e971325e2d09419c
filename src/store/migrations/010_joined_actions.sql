-- The name of the agent as it was, which stays when the agent is gone.
alter table actions add column agent_name text not null default '';
update actions set agent_name = agents.name from agents where agents.id = actions.agent_id;
create index actions_agent_name on actions (agent_name, id) where agent_name <> '';

-- When the agent got the outcome of an action that was held: until then the same request asks for that one.
alter table actions add column collected_at timestamptz;
update actions set collected_at = now() where effect = 'require_approval';
create index actions_joinable on actions (agent_id, request_hash)
  where effect = 'require_approval' and collected_at is null and idempotency_key is null;
