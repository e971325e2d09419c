-- What was ever live, with its files. Contents are kept once however many revisions hold them, compressed and in
-- pieces, so that no statement carries more than one; a publication is a revision that became the policy.
create table policy_contents (
  sha256 text not null,
  piece integer not null,
  pieces integer not null,
  data bytea not null,
  at timestamptz not null default clock_timestamp(),
  primary key (sha256, piece)
);

-- `stand_in`: a file that was loaded in place of gate.yaml, {name, sha256}; '' where there was none.
alter table policy_revisions add column counts text not null default '{}';
alter table policy_revisions add column stand_in text not null default '';

create table policy_publications (
  n bigint primary key,
  revision text not null references policy_revisions (revision),
  parent text not null,
  author text not null,
  source text not null,
  note text not null,
  -- {changed: [path], tests: n, must: n}
  detail text not null,
  at timestamptz not null
);
create index policy_publications_revision on policy_publications (revision, n);

-- Which contents a revision needs, for as long as its files are kept.
create table policy_needs (
  revision text not null references policy_revisions (revision),
  sha256 text not null,
  primary key (revision, sha256)
);
create index policy_needs_sha256 on policy_needs (sha256);
