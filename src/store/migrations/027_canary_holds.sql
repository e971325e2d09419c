-- In which canary an action was held; '': by the live policy. A revision may be tried more than once, and what one canary
-- holds is none of another's.
alter table approvals add column canary_id text not null default '';
