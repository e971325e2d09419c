-- One row: what digests of masked values are made with, the same for all replicas.
create table mask_secret (
  only_row boolean primary key default true check (only_row),
  secret text not null
);

-- Requests of held actions whose record is masked, sealed, for as long as they are held.
create table held_requests (
  action_id text primary key,
  sealed text not null
);
