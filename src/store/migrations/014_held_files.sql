-- Bytes of files of held actions, in pieces, for as long as the action may still run.
create table held_files (
  action_id text not null,
  sha256 text not null,
  piece integer not null,
  bytes bigint not null,
  data bytea not null,
  at timestamptz not null default now(),
  primary key (action_id, sha256, piece)
);
