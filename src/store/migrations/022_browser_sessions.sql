-- People who are signed in with a browser. The cookie itself is in no table: a row is found by its SHA-256. A session is
-- its key's: it ends when the key does, and has the role that the key has.
create table browser_sessions (
  id_hash text primary key,
  key_id text not null,
  role text not null,
  name text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index browser_sessions_key on browser_sessions (key_id, created_at);
create index browser_sessions_holder on browser_sessions (role, name);
create index browser_sessions_expiry on browser_sessions (expires_at);
