-- Turns: one prompt, the model calls and actions it led to, and the answer that was given. A turn is long
-- and many ledger writes; the row is what makes the same Idempotency-Key give the same answer again.
create table turns (
  id text primary key,
  agent_id text not null,
  key_id text not null,
  status text not null check (status in ('running', 'completed', 'stopped', 'failed')),
  request_hash text not null,
  idempotency_key text,
  replica_id text not null,
  revision text not null,
  -- What was answered: {status, body}. JSON text, '' while it runs.
  answer text not null default '',
  created_at timestamptz not null,
  finished_at timestamptz
);
create unique index turns_idempotency on turns (agent_id, idempotency_key)
  where idempotency_key is not null;
create index turns_running on turns (replica_id) where status = 'running';
